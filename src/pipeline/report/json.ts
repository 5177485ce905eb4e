/** The report as JSON, apart from the page, which loads a charting library. */
import type { QuantizeReport } from "../result.ts";
import type { WeightsQuantizeReport } from "../weights/index.ts";

/** The report as data, for programs; readable, ends with a newline. */
export const renderJson = (report: QuantizeReport | WeightsQuantizeReport): string =>
  `${JSON.stringify(report, null, 2)}\n`;
