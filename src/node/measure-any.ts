/** fewbit compare and fewbit bench for models of every kind: those that run as graphs, and language models. */
import { fail } from "../numeric/errors.ts";
import type { LanguageBenchReport, LanguageCompareReport } from "../pipeline/language/index.ts";
import type { Hooks } from "../pipeline/progress.ts";
import type { BenchReport, CompareReport } from "../pipeline/result.ts";
import { isGguf } from "./is-gguf.ts";
import type { BenchRequest, CompareRequest } from "./requests.ts";

/** Whether the models are GGUF: all of them, or none. */
async function areGguf(paths: readonly string[]): Promise<boolean> {
  const kinds: boolean[] = [];
  for (const path of paths) kinds.push(await isGguf(path));
  const other = kinds.findIndex((kind) => kind !== kinds[0]);
  if (other > 0)
    fail(
      "usage",
      `${paths[0]} ${kinds[0] ? "is" : "is not"} GGUF and ${paths[other]} ${kinds[0] ? "is not" : "is"}; measure models of one kind`,
    );
  return kinds[0] === true;
}

/** Two models on the same samples, or on the same text. */
export const compareAny = async (
  request: CompareRequest,
  hooks: Hooks,
): Promise<CompareReport | LanguageCompareReport> =>
  (await areGguf([request.reference, request.candidate]))
    ? (await import("./language-compare.ts")).compareLanguage(request, hooks)
    : (await import("./compare.ts")).compareFiles(request, hooks);

/** Speed and memory of models of one kind. */
export const benchAny = async (request: BenchRequest, hooks: Hooks): Promise<BenchReport | LanguageBenchReport> =>
  (await areGguf(request.models))
    ? (await import("./language-compare.ts")).benchLanguage(request, hooks)
    : (await import("./compare.ts")).benchFiles(request, hooks);
