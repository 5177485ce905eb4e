import { expect, it } from "vitest";
import { sampleReport } from "../pipeline/report/sample.case.ts";
import { defaultReportPath } from "./report-files.ts";

const report = sampleReport();

it("puts the report into the folder of several models", () => {
  expect(defaultReportPath(report)).toMatch(/^[^/]+\/[^/]+\.report\.html$/);
});

it("puts the report of a model folder into that folder, not among its models", () => {
  expect(defaultReportPath({ ...report, home: "my-model" })).toBe("my-model/fewbit.report.html");
});

it("names no place where nothing was written", () => {
  const candidates = report.candidates.map(({ output: _, ...rest }) => rest);
  expect(defaultReportPath({ ...report, candidates })).toBeUndefined();
});
