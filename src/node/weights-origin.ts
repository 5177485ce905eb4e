/** Where a report on weights comes from. */
import type { WeightsQuantizeReport } from "../pipeline/weights/index.ts";
import { environmentOf } from "./environment.ts";
import { openLlama } from "./llama.ts";

type Origin = Pick<WeightsQuantizeReport, "command" | "createdAt" | "environment">;

const NO_ENGINE = { name: "none", version: "" };

/** Command, time and place of a run; `isRun` where an engine runs what is written, if it is there. */
export const weightsOrigin = (
  { command, threads }: { readonly command: string; readonly threads: number },
  isRun: boolean,
): Origin => ({
  command,
  createdAt: new Date().toISOString(),
  environment: environmentOf((isRun ? openLlama().engine : undefined) ?? NO_ENGINE, threads),
});
