/** Where the report goes, and writing it. */
import { basename, dirname, extname, join } from "node:path";
import type { QuantizeReport } from "../pipeline/result.ts";
import type { WeightsQuantizeReport } from "../pipeline/weights/index.ts";
import type { Services } from "./services.ts";

const withoutExtension = (path: string): string => path.slice(0, path.length - extname(path).length);

/** At home, else beside the only output or in the folder of several; undefined when nothing was written. */
export function defaultReportPath(report: QuantizeReport): string | undefined {
  const outputs = report.candidates.flatMap(({ output }) => (output === undefined ? [] : [output]));
  const [first] = outputs;
  if (first === undefined) return undefined;
  if (report.home !== undefined) return join(report.home, "fewbit.report.html");
  if (report.candidates.length === 1) return `${withoutExtension(first)}.report.html`;
  return join(dirname(first), `${withoutExtension(basename(report.model.name))}.report.html`);
}

/** Reports can be made again, and a disk that still has a model to write lets wait long. */
const SOON = { flush: false };

const jsonPath = (page: string): string => `${/\.html?$/i.test(page) ? withoutExtension(page) : page}.json`;

/** Writes the page and its JSON; returns the page's path. `wish` is --report FILE, or false with --no-report. */
export async function writeReport(
  report: QuantizeReport,
  wish: string | false | undefined,
  services: Services,
): Promise<string | undefined> {
  const path = wish ?? defaultReportPath(report);
  if (path === false || path === undefined) return undefined;
  const { renderHtml, renderJson } = await import("../pipeline/report.ts");
  await services.writeText(path, renderHtml(report), SOON);
  await services.writeText(jsonPath(path), renderJson(report), SOON);
  return path;
}

const GGUF = /\.gguf$/i;

/** The same for a model without a graph; beside its file unless told, and of a folder only where it is told. */
export async function writeWeightsReport(
  report: WeightsQuantizeReport,
  wish: string | false | undefined,
  services: Services,
): Promise<string | undefined> {
  const { output } = report;
  const beside = output !== undefined && GGUF.test(output) ? output.replace(GGUF, ".report.html") : undefined;
  const path = wish ?? beside;
  if (path === false || path === undefined) return undefined;
  const [{ renderWeightsHtml }, { renderJson }] = await Promise.all([
    import("../pipeline/report/weights.ts"),
    import("../pipeline/report/json.ts"),
  ]);
  await services.writeText(path, renderWeightsHtml(report), SOON);
  await services.writeText(jsonPath(path), renderJson(report), SOON);
  return path;
}
