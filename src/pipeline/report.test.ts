import { describe, expect, it } from "vitest";
import { sampleCandidate, sampleLayers, sampleReport } from "./report/sample.case.ts";
import { renderHtml, renderJson } from "./report.ts";

const count = (text: string, pattern: RegExp): number => [...text.matchAll(pattern)].length;

/** What a person reads. */
const plain = (html: string): string => html.replace(/<[^>]*>/g, "").replaceAll("\u00a0", " ");

describe("the page", () => {
  const page = renderHtml(sampleReport());

  it("needs nothing else: no script, no request", () => {
    expect(page).not.toMatch(/<script|<link|<img|<iframe|@import|url\(|\ssrc=|\shref=|https?:/i);
    expect(page).toContain("default-src 'none'");
  });

  it("opens with the verdict in one sentence", () => {
    const [, verdict = ""] = /<p class="verdict">(.*?)<\/p>/.exec(page) ?? [];
    expect(plain(verdict)).toBe("w8a8: 3.42x smaller and 1.71x faster; top1 goes from 87.71 % to 87.55 %.");
  });

  it("gives every chart a role, a title and its numbers in a table", () => {
    const charts = count(page, /<svg /g);
    expect(charts).toBeGreaterThan(5);
    expect(count(page, /<svg class="[^"]+" role="img" aria-label="[^"]+" viewBox="[^"]+"><title>[^<]+<\/title>/g)).toBe(
      charts,
    );
    // the layer chart is drawn twice per candidate and its numbers are the table of layers
    expect(count(page, /<summary>Numbers<\/summary>/g)).toBe(charts - 2 * 3);
    expect(count(page, /<caption>Worst first/g)).toBe(3);
  });

  it("draws with the page's own colours, so that dark mode and print work", () => {
    const drawn = [...page.matchAll(/<svg[\s\S]*?<\/svg>/g)].join("");
    expect(drawn).toContain("var(--accent)");
    expect(drawn).not.toMatch(/#[0-9a-f]{3,6}\b/i);
  });

  it("is balanced HTML", () => {
    for (const name of [
      "table",
      "tr",
      "td",
      "th",
      "figure",
      "details",
      "svg",
      "div",
      "p",
      "ul",
      "li",
      "span",
      "path",
      "text",
    ]) {
      const opened = count(page, new RegExp(`<${name}[ >]`, "g"));
      expect([name, count(page, new RegExp(`</${name}>`, "g"))]).toEqual([name, opened]);
    }
  });

  it("is the same for the same report", () => {
    expect(renderHtml(sampleReport()) === page).toBe(true);
  });

  it("says how to repeat it: command, versions, checksums", () => {
    const report = sampleReport();
    expect(page).toContain(report.command);
    for (const text of [report.model.sha256, report.environment.engine, report.environment.node, "512 samples"])
      expect(page).toContain(text);
  });
});

it("escapes names from model files wherever they appear", () => {
  const evil = `</title><script>alert("1")</script>'"&\u0000\u202e`;
  const candidate = {
    ...sampleCandidate("w8a8", 2, 2, 0.87),
    scheme: evil,
    layers: sampleLayers(3, (i) => evil + i),
    kept: [{ scope: "", index: 0, node: evil, op: evil, reason: evil }],
    opHistogram: { before: { [evil]: 1 }, after: {} },
    metrics: { [evil]: { before: 1, after: 1, higherIsBetter: true, unit: "number" as const } },
    files: [{ name: evil, size: 1, sha256: evil }],
    findings: [{ severity: "error" as const, code: evil, message: evil, remedy: evil }],
    notes: [evil],
  };
  const report = sampleReport({
    candidates: [candidate],
    command: evil,
    calibration: { origin: evil, samples: 1, random: false },
  });
  const page = renderHtml({ ...report, model: { ...report.model, name: evil } });
  expect(page.includes("<script")).toBe(false);
  for (const character of ["\u0000", "\u202e"]) expect(page.includes(character)).toBe(false);
  expect(count(page, /<\/title>/g)).toBe(count(page, /<title>/g));
  for (const [, inside] of page.matchAll(/<svg ([^>]*)>/g)) expect(inside).not.toContain("<");
});

it("stays small for thousands of layers and findings, and says what it left out", () => {
  const findings = Array.from({ length: 5000 }, (_, i) => ({
    severity: "info" as const,
    code: "x",
    message: `layer ${i}`,
  }));
  const kept = Array.from({ length: 5000 }, (_, i) => ({
    scope: "",
    index: i,
    node: `n${i}`,
    op: "Add",
    reason: `why ${i}`,
  }));
  const candidate = { ...sampleCandidate("w8a8", 2, 2, 0.87), layers: sampleLayers(4000), findings, kept };
  const page = renderHtml(sampleReport({ candidates: Array.from({ length: 20 }, () => candidate) }));
  expect(page.length).toBeLessThan(4e6);
  expect(page).toContain("3,800 layers that lost less are in the JSON file");
  expect(page).toContain("4,901 more in the JSON file");
});

it("marks random data where nobody can miss it", () => {
  const random = { origin: "random", samples: 64, random: true };
  const page = renderHtml(sampleReport({ calibration: random, evaluation: random }));
  expect(page).toContain("The ranges come from and outputs were compared on random data");
});

it("draws what there is when little was measured", () => {
  const {
    latency: _l,
    memory: _m,
    agreement: _a,
    integerShare: _i,
    opHistogram: _o,
    ...rest
  } = sampleCandidate("w4", 4, 1, 0.8);
  const bare = { ...rest, metrics: {}, outputs: [], layers: [], kept: [] };
  const { recommended: _r, calibration: _c, evaluation: _e, ...head } = sampleReport({ candidates: [bare] });
  const page = renderHtml(head);
  expect(plain(page)).toContain("w4: 4.00x smaller.");
  expect(page).not.toMatch(/undefined|NaN|Latency/);
  expect(renderHtml({ ...head, candidates: [] })).toContain("No model was made.");
});

it("writes JSON that reads back as the same report", () => {
  expect(JSON.parse(renderJson(sampleReport()))).toEqual(sampleReport());
});

describe("a model that was trained on the way", () => {
  const losses = Array.from({ length: 50 }, (_, i) => 2 / (i + 1));
  const training = {
    ...{
      mode: "float",
      loss: "cross-entropy",
      optimizer: "adam",
      schedule: "cosine, rate 0.001",
      epochs: 2,
      batch: 32,
    },
    ...{ data: { origin: "train.npy", samples: 1600, random: false }, steps: 100, seed: 0, losses },
  };
  const candidate = { ...sampleCandidate("trained", 1, 1, 0.91), training };
  const page = renderHtml({
    ...sampleReport(),
    candidates: [candidate],
    recommended: { scheme: "trained", reason: "" },
  });

  it("has its loss as a curve with numbers, and its settings", () => {
    const text = plain(page);
    expect(page).toContain("<title>Loss of trained over 100 steps, from 2.00 to 0.0400</title>");
    expect(text).toContain("fine-tuned in floats: loss from 2.00 to 0.0400");
    expect(text).toContain("2 epochs of 1,600 samples of train.npy");
  });

  it("is judged by its accuracy alone", () => {
    const [, verdict = ""] = /<p class="verdict">(.*?)<\/p>/.exec(page) ?? [];
    expect(plain(verdict)).toBe("trained: top1 goes from 87.71 % to 91.00 %.");
  });
});
