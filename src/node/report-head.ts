/** What every report begins with. */
import type { Finding, ModelSummary, QuantizeReport } from "../pipeline/result.ts";
import { environmentOf } from "./environment.ts";
import type { NodeHost } from "./host.ts";

/** Milliseconds of `performance.now()` to seconds since then. */
export const secondsSince = (start: number): number => (performance.now() - start) / 1000;

/** What the engine has to say of itself. */
export const engineFindings = ({ notes }: Pick<NodeHost, "notes">): readonly Finding[] =>
  notes.map((message) => ({ severity: "info", code: "engine", message }));

/** What was asked for, where and of which model; `start` is when the work began, by `performance.now()`. */
export const reportHead = (
  { command, threads }: { readonly command: string; readonly threads: number },
  { engine }: Pick<NodeHost, "engine">,
  model: ModelSummary,
  start: number,
): Pick<QuantizeReport, "version" | "createdAt" | "command" | "environment" | "model" | "seconds"> => ({
  version: 1,
  createdAt: new Date().toISOString(),
  command,
  environment: environmentOf(engine, threads),
  model,
  seconds: secondsSince(start),
});
