import { expect, it } from "vitest";
import { ratioOf } from "../result.ts";
import { sampleCandidate, sampleReport } from "./sample.case.ts";
import { headline, verdictOf } from "./verdict.ts";

const candidate = sampleCandidate("w8a8", 3.42, 1.71, 0.8755);
const { metrics: _m, agreement: _a, ...unlabelled } = candidate;

it("is good when gains come without a loss that anybody would notice", () => {
  expect(verdictOf(candidate)).toEqual({
    tone: "good",
    short: "smaller, faster, accuracy kept",
    sentence: "3.42x smaller and 1.71x faster; top1 goes from 87.71 % to 87.55 %",
  });
});

it("says slower and larger in words, never as a ratio below one", () => {
  const slow = { ...candidate, latency: { ...candidate.latency!, ...ratioOf(1, 1.5) }, size: ratioOf(100, 200) };
  expect(verdictOf(slow)).toMatchObject({ tone: "bad", short: "larger, slower, accuracy kept" });
  expect(verdictOf(slow).sentence).toContain("2.00x larger and 1.50x slower");
});

it("takes differences below five percent for noise", () => {
  const same = { ...candidate, latency: { ...candidate.latency!, ...ratioOf(1, 1.03) }, size: ratioOf(100, 98) };
  expect(verdictOf(same)).toMatchObject({ tone: "bad", sentence: expect.stringContaining("no smaller and no faster") });
});

it("grades accuracy by the metric, else by agreement, else by the worst output", () => {
  const at = (after: number) => ({ metrics: { top1: { ...candidate.metrics.top1!, after } } });
  expect(verdictOf({ ...candidate, ...at(0.85) }).tone).toBe("mixed");
  expect(verdictOf({ ...candidate, ...at(0.7) }).tone).toBe("bad");
  expect(verdictOf({ ...unlabelled, metrics: {}, agreement: 0.9 }).tone).toBe("mixed");
  const outputs = [
    { name: "a", sqnr: 50, cosine: 0.9999, maxAbs: 0.1 },
    { name: "b", sqnr: 3, cosine: 0.5, maxAbs: 9 },
  ];
  const far = verdictOf({ ...unlabelled, metrics: {}, outputs });
  expect(far).toMatchObject({
    tone: "bad",
    sentence: expect.stringContaining("outputs differ at 3.0 dB (cosine 0.5000)"),
  });
});

it("calls a metric where less is better worse when it grows", () => {
  const metrics = { perplexity: { before: 10, after: 20, higherIsBetter: false, unit: "number" as const } };
  expect(verdictOf({ ...candidate, metrics }).tone).toBe("bad");
});

it("puts an error before everything else", () => {
  const findings = [{ severity: "error" as const, code: "nan", message: "output logits is NaN" }];
  expect(verdictOf({ ...candidate, findings })).toEqual({
    tone: "bad",
    short: "not usable",
    sentence: "output logits is NaN",
  });
});

it("claims nothing about accuracy on made-up inputs", () => {
  const findings = [{ severity: "info" as const, code: "no-data", message: "run on made-up inputs" }];
  expect(verdictOf({ ...candidate, findings })).toEqual({
    tone: "good",
    short: "smaller, faster",
    sentence: "3.42x smaller and 1.71x faster; accuracy was not measured",
  });
});

it("recommends nothing where nothing was recommended", () => {
  const { recommended: _r, ...report } = sampleReport();
  expect(headline(report)).toEqual({ tone: "bad", sentence: "None of w8a8, w8 and w4 is worth taking." });
});

it("says that accuracy was not measured rather than that no model is worth taking", () => {
  const findings = [{ severity: "info" as const, code: "no-data", message: "run on made-up inputs" }];
  const { recommended: _r, ...report } = sampleReport();
  const candidates = report.candidates.map((made) => ({ ...made, findings }));
  expect(headline({ ...report, candidates })).toEqual({
    tone: "mixed",
    sentence: "Made w8a8, w8 and w4; accuracy was not measured, so none is recommended.",
  });
});
