/** fewbit compare and fewbit bench for GGUF files. */
import { basename } from "node:path";
import type { LanguageEngine, LanguageMemory } from "../engines/language.ts";
import { fail } from "../numeric/errors.ts";
import {
  type LanguageBenchReport,
  type LanguageCompareReport,
  measureSpeed,
  runFindings,
} from "../pipeline/language/index.ts";
import type { Hooks } from "../pipeline/progress.ts";
import { ratioOf } from "../pipeline/result.ts";
import { environmentOf } from "./environment.ts";
import { runModels, withModels } from "./language-run.ts";
import { openText } from "./language-text.ts";
import { openLlama } from "./llama.ts";
import type { BenchRequest, CompareRequest, EvaluationRequest } from "./requests.ts";
import { sizeOfFiles } from "./weights-size.ts";

/** The engine, or an error with the way to get it. */
export function needLlama(signal: AbortSignal): LanguageEngine {
  const { engine, reason, remedy } = openLlama({ signal });
  return engine ?? fail("engine", `no engine runs GGUF here: ${reason}${remedy ? `; get it with \`${remedy}\`` : ""}`);
}

/** Options that language models have no use for. */
export function checkEvaluation({ labels, script, metrics, data }: Partial<EvaluationRequest>): void {
  const found =
    labels !== undefined ? "--labels" : script !== undefined ? "--eval" : metrics?.length ? "--metric" : undefined;
  if (found !== undefined)
    fail("usage", `${found} has no meaning for GGUF; perplexity is measured on a text given with --data`);
  if (data?.image !== undefined) fail("usage", "--image has no meaning for GGUF; --data is a text file");
}

const named = async (path: string) => ({ name: basename(path), size: await sizeOfFiles(path) });

const noEngineChoice = (engine: string | undefined): void => {
  if (engine !== undefined && engine !== "llama")
    fail("usage", `engine ${engine} does not run GGUF; leave --engine out`);
};

/** How well two GGUF models predict a text, how far they are apart, how fast they are. */
export async function compareLanguage(request: CompareRequest, hooks: Hooks): Promise<LanguageCompareReport> {
  const began = performance.now();
  const { reference, candidate, evaluation, threads, maxDrop, context } = request;
  checkEvaluation(evaluation);
  noEngineChoice(request.engine ?? request.candidateEngine);
  if (request.layers) fail("usage", "--layers has no meaning for GGUF, whose inner values can't be seen");
  if (evaluation.data === undefined) fail("usage", "compare needs a text for GGUF models; name it with --data");
  const [first, second] = [await named(reference), await named(candidate)];
  const text = await openText(evaluation.data);
  const engine = needLlama(hooks.signal);
  const { samples, seed } = evaluation.data;
  const wish = {
    ...{ text, threads, seed, speed: true },
    ...(samples !== undefined && { samples }),
    ...(maxDrop !== undefined && { maxDrop }),
    ...(context !== undefined && { context }),
  };
  const options = { threads, ...(context !== undefined && { context }) };
  const { run, findings } = await withModels(engine, [{ path: reference }, { path: candidate }], options, (models) =>
    runModels(engine, [models[0]!, models[1]!], wish, hooks),
  );
  return {
    ...({ kind: "compare-language", environment: environmentOf(engine, threads) } as const),
    ...{ reference: first, candidate: second, size: ratioOf(first.size, second.size), run },
    findings: [...findings, ...runFindings(run)],
    seconds: (performance.now() - began) / 1000,
  };
}

/** Tokens per second and memory of GGUF models, taking turns. */
export async function benchLanguage(request: BenchRequest, hooks: Hooks): Promise<LanguageBenchReport> {
  const { models, threads, runs, data, engine: wanted } = request;
  noEngineChoice(wanted);
  if (data !== undefined) fail("usage", "--data has no meaning for the speed of GGUF models; leave it out");
  const summaries = await Promise.all(models.map(named));
  const engine = needLlama(hooks.signal);
  const places = models.map((path) => ({ path }));
  return withModels(engine, places, { threads }, async (sessions) => {
    const { setup, rows } = await measureSpeed(sessions, hooks, runs === undefined ? {} : { rounds: runs });
    const memory: LanguageMemory[] = [];
    for (const session of sessions) memory.push(await session.memory());
    return {
      ...({ kind: "bench-language", environment: environmentOf(engine, threads) } as const),
      ...setup,
      rows: rows.map((row, at) => ({ ...summaries[at]!, ...row, memory: memory[at]! })),
      findings: [],
    };
  });
}
