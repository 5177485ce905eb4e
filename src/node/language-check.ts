/** A quantized GGUF model is run before it gets its name, beside the original, where the engine is there. */
import { link, mkdir, symlink } from "node:fs/promises";
import { totalmem } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import type { LanguageEngine, LanguageSession } from "../engines/language.ts";
import { FewbitError, fail } from "../numeric/errors.ts";
import { type LanguageRun, perplexityOf, runFindings } from "../pipeline/language/index.ts";
import { type Hooks, stopIfAborted } from "../pipeline/progress.ts";
import type { Finding } from "../pipeline/result.ts";
import { checkEvaluation } from "./language-compare.ts";
import { type LanguageWish, runModels, windowsFor, withModels } from "./language-run.ts";
import { builtInText, openText } from "./language-text.ts";
import { openLlama } from "./llama.ts";
import type { QuantizeRequest } from "./requests.ts";
import { removeTemporary, temporaryPath } from "./temporaries.ts";
import { sizeOfFiles } from "./weights-size.ts";
import type { Accept, FinishedFile } from "./write-files.ts";

/** What running a new model found, or why it was not run. */
export interface LanguageOutcome {
  readonly run?: LanguageRun;
  readonly findings: readonly Finding[];
}

/** Judges one new model. */
export interface LanguageCheck {
  /**
   * Writes by `write`, which has the finished files accepted before it names them. Undefined where `--max-drop` was not
   * kept and nothing was written. Fails with code "engine" for files that the engine can't run.
   */
  guard<T>(write: (accept: Accept) => Promise<T>): Promise<T | undefined>;
  outcome(): LanguageOutcome;
}

const notRun = (why: string, remedy: string): Finding => ({
  severity: "warning",
  code: "not-run",
  message: `the file was not run: ${why}, so only the error of each tensor is known`,
  remedy,
});

const FOREIGN = "try it with the program that runs the original";

async function wishOf(request: QuantizeRequest): Promise<LanguageWish> {
  const { evaluation, threads, maxDrop, ggml } = request;
  const data = evaluation?.data;
  return {
    ...{ threads, seed: data?.seed ?? 0, speed: data !== undefined },
    text: data === undefined ? builtInText : await openText(data),
    ...(data?.samples !== undefined && { samples: data.samples }),
    ...(maxDrop !== undefined && { maxDrop }),
    ...(ggml?.context !== undefined && { context: ggml.context }),
  };
}

/** Where the engine finds the model: files of several parts need their names, so links get them. */
async function withPlace<T>(files: readonly FinishedFile[], use: (path: string) => Promise<T>): Promise<T> {
  const [first, second] = files;
  if (second === undefined) return use(first!.path);
  const folder = temporaryPath(dirname(first!.path));
  try {
    await mkdir(folder, { mode: 0o700 });
    for (const { name, path } of files) {
      const place = join(folder, basename(name));
      await symlink(resolve(path), place).catch(() => link(path, place));
    }
    return await use(join(folder, basename(first!.name)));
  } finally {
    await removeTemporary(folder);
  }
}

/** Both at once have to fit into memory, else the machine does nothing but read. */
const fitsMemory = (bytes: number): boolean => bytes < 0.8 * totalmem();

/** What the new model is opened with: every block is looked at. */
const optionsOf = ({ threads, context }: LanguageWish) => ({ threads, ...(context !== undefined && { context }) });

interface Judging {
  readonly engine: LanguageEngine;
  readonly request: QuantizeRequest;
  readonly wish: LanguageWish;
  readonly hooks: Hooks;
}

async function openNew({ engine, wish, hooks }: Judging, path: string, label: string): Promise<LanguageSession> {
  try {
    return await engine.open({ path, label }, { ...optionsOf(wish), check: true });
  } catch (error) {
    stopIfAborted(hooks.signal);
    throw error instanceof FewbitError
      ? new FewbitError("engine", `${error.message}; it runs the original, so nothing was written`, { cause: error })
      : error;
  }
}

/** The new model alone, where the original is too large to run beside it. */
async function runAlone(judging: Judging, path: string, label: string): Promise<LanguageOutcome> {
  const { engine, wish, hooks } = judging;
  const session = await openNew(judging, path, label);
  try {
    const { windows, findings } = await windowsFor(session, wish);
    const perplexity = await perplexityOf(session, windows, hooks);
    const run = { engine: `${engine.name} ${engine.version}`, threads: wish.threads };
    const message = "the original was not run beside it: both together are larger than this machine's memory";
    const finding: Finding = { severity: "warning", code: "original-not-run", message };
    return {
      run: { ...run, ...(!windows.summary.random && { alone: { text: windows.summary, perplexity } }) },
      findings: [finding, ...findings],
    };
  } finally {
    await session.close();
  }
}

async function runBoth(judging: Judging, before: LanguageSession, path: string, label: string) {
  const { engine, wish, hooks } = judging;
  const after = await openNew(judging, path, label);
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
  if (!fitsMemory(size + (await sizeOfFiles(request.model)))) return runAlone(judging, path, label);
  const before = await engine.open({ path: request.model }, optionsOf(wish)).catch((error: Error) => {
    stopIfAborted(hooks.signal);
    return error.message;
  });
  if (typeof before === "string")
    return { findings: [notRun(`the engine can't run the original either (${before})`, FOREIGN)] };
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
export async function languageCheck(request: QuantizeRequest, hooks: Hooks): Promise<LanguageCheck> {
  checkEvaluation(request.evaluation ?? {});
  if (request.maxDrop !== undefined && request.evaluation?.data === undefined)
    fail("usage", "--max-drop is about perplexity for GGUF; give a text with --data");
  const wish = await wishOf(request);
  const { engine, reason, remedy } = openLlama({ signal: hooks.signal });
  if (engine === undefined) {
    const get = remedy ? `\`${remedy}\` makes fewbit run what it writes` : "try it with llama.cpp";
    if (request.evaluation !== undefined) fail("engine", `--data needs an engine that runs GGUF: ${reason}; ${get}`);
    const findings = [notRun(reason, get)];
    return { outcome: () => ({ findings }), guard: (write) => write(async () => {}) };
  }
  const judging = { engine, request, wish, hooks };
  await tryText(judging);
  return guardWith(judging);
}
