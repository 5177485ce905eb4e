/** A quantized GGUF model is run before it gets its name, beside the original, where the engine is there. */
import { totalmem } from "node:os";
import type { LanguageSession } from "../engines/language.ts";
import { FewbitError, fail } from "../numeric/errors.ts";
import { runFindings } from "../pipeline/language/index.ts";
import { type Hooks, stopIfAborted } from "../pipeline/progress.ts";
import type { Finding } from "../pipeline/result.ts";
import {
  type Judging as Alone,
  fitsMemory,
  type LanguageOutcome,
  notRun,
  openNew,
  optionsOf,
  runAlone,
  runnableHere,
  textWish,
  withPlace,
} from "./language-alone.ts";
import { checkEvaluation } from "./language-compare.ts";
import { type LanguageWish, runModels, windowsFor, withModels } from "./language-run.ts";
import type { QuantizeRequest } from "./requests.ts";
import { sizeOfFiles } from "./weights-size.ts";
import type { Accept } from "./write-files.ts";

/** Judges one new model. */
export interface LanguageCheck {
  /**
   * Writes by `write`, which has the finished files accepted before it names them. Undefined where `--max-drop` was not
   * kept and nothing was written. Fails with code "engine" for files that the engine can't run.
   */
  guard<T>(write: (accept: Accept) => Promise<T>): Promise<T | undefined>;
  outcome(): LanguageOutcome;
}

const ONLY_ERRORS = "so only the error of each tensor is known";
const FOREIGN = "try it with the program that runs the original";
const RUNS_ORIGINAL = "it runs the original, so nothing was written";
const TOO_LARGE: Finding = {
  severity: "warning",
  code: "original-not-run",
  message: "the original was not run beside it: both together are larger than this machine's memory",
};

async function wishOf({ evaluation, threads, maxDrop, ggml }: QuantizeRequest): Promise<LanguageWish> {
  return {
    ...(await textWish(evaluation?.data, threads)),
    ...(maxDrop !== undefined && { maxDrop }),
    ...(ggml?.context !== undefined && { context: ggml.context }),
  };
}

interface Judging extends Alone {
  readonly request: QuantizeRequest;
  /** Bytes of this machine. */
  readonly memory: number;
}

async function runBoth(judging: Judging, before: LanguageSession, path: string, label: string) {
  const { engine, wish, hooks } = judging;
  const after = await openNew(judging, path, label, RUNS_ORIGINAL);
  try {
    const { run, findings } = await runModels(engine, [before, after], wish, hooks);
    const bad = run.quality?.notFinite.after ?? 0;
    if (bad > 0)
      fail(
        "engine",
        `${label}: its answers are no numbers at ${bad} of ${run.quality?.text.predicted} places; nothing was written`,
      );
    return { run, findings: [...findings, ...runFindings(run)] };
  } finally {
    await after.close();
  }
}

async function judge(judging: Judging, path: string, label: string, size: number): Promise<LanguageOutcome> {
  const { engine, request, wish, hooks } = judging;
  if (!fitsMemory(size + (await sizeOfFiles(request.model)), judging.memory)) {
    const { run, findings } = await runAlone(judging, path, label);
    return { ...(run && { run }), findings: [TOO_LARGE, ...findings] };
  }
  const before = await engine.open({ path: request.model }, optionsOf(wish)).catch((error: Error) => {
    stopIfAborted(hooks.signal);
    return error.message;
  });
  if (typeof before === "string")
    return { findings: [notRun(`the engine can't run the original either (${before}), ${ONLY_ERRORS}`, FOREIGN)] };
  try {
    return await runBoth(judging, before, path, label);
  } finally {
    await before.close();
  }
}

function guardWith(judging: Judging): LanguageCheck {
  let outcome: LanguageOutcome = { findings: [] };
  const refusal = new FewbitError("data", "--max-drop was not kept; nothing was written");
  const accept: Accept = async (files) => {
    const label = files[0]!.name;
    outcome = await withPlace(files, async (path) =>
      judge(judging, path, label, await sizeOfFiles(files.map((file) => file.path))),
    );
    if (outcome.run?.contract?.met === false && !judging.request.force) throw refusal;
  };
  return {
    outcome: () => outcome,
    async guard(write) {
      try {
        return await write(accept);
      } catch (error) {
        if (error === refusal) return undefined;
        throw error;
      }
    },
  };
}

/** A text that can't be used is found out before the work begins. */
async function tryText({ engine, request, wish }: Judging): Promise<void> {
  if (request.evaluation === undefined) return;
  await withModels(engine, [{ path: request.model }], optionsOf(wish), ([session]) => windowsFor(session!, wish));
}

/**
 * Prepares the check of a new model. Fails with code "engine" where a text or `--max-drop` was given and no engine is
 * there to keep that promise; without them such a model is written with a warning.
 */
export async function languageCheck(
  request: QuantizeRequest,
  hooks: Hooks,
  memory = totalmem(),
): Promise<LanguageCheck> {
  checkEvaluation(request.evaluation ?? {});
  if (request.maxDrop !== undefined && request.evaluation?.data === undefined)
    fail("usage", "--max-drop is about perplexity for GGUF; give a text with --data");
  const wish = await wishOf(request);
  const engine = runnableHere(request.evaluation !== undefined, hooks);
  if ("why" in engine) {
    const findings = [notRun(`${engine.why}, ${ONLY_ERRORS}`, engine.remedy)];
    return { outcome: () => ({ findings }), guard: (write) => write(async () => {}) };
  }
  const judging = { engine, request, wish, hooks, memory };
  await tryText(judging);
  return guardWith(judging);
}
