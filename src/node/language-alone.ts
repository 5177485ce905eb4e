/** A new GGUF model that is run by itself before it gets its name. */
import { link, mkdir, symlink } from "node:fs/promises";
import { totalmem } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import type { LanguageEngine, LanguageSession } from "../engines/language.ts";
import { FewbitError, fail } from "../numeric/errors.ts";
import { type LanguageRun, perplexityOf } from "../pipeline/language/index.ts";
import { type Hooks, stopIfAborted } from "../pipeline/progress.ts";
import type { Finding } from "../pipeline/result.ts";
import { checkEvaluation } from "./language-compare.ts";
import { type LanguageWish, windowsFor } from "./language-run.ts";
import { builtInText, openText } from "./language-text.ts";
import { openLlama } from "./llama.ts";
import type { DataRequest } from "./requests.ts";
import { removeTemporary, temporaryPath } from "./temporaries.ts";
import { sizeOfFiles } from "./weights-size.ts";
import type { Accept, FinishedFile } from "./write-files.ts";

/** What running a new model found, or why it was not run. */
export interface LanguageOutcome {
  readonly run?: LanguageRun;
  readonly findings: readonly Finding[];
}

/** Runs a new model. */
export interface AloneCheck {
  /** Looks at the finished files. Fails with code "engine" for files that the engine can't run. */
  readonly accept: Accept;
  outcome(): LanguageOutcome;
}

/** What new models are run with. */
export interface Judging {
  readonly engine: LanguageEngine;
  readonly wish: LanguageWish;
  readonly hooks: Hooks;
}

/** Said of a file that was not run. */
export const notRun = (why: string, remedy: string): Finding => ({
  ...({ severity: "warning", code: "not-run" } as const),
  message: `the file was not run: ${why}`,
  remedy,
});

/** What is open at once has to fit into memory, else the machine does nothing but read. */
export const fitsMemory = (bytes: number, memory: number): boolean => bytes < 0.8 * memory;

/** What the text in a request asks for; a built-in text where there is none. */
export const textWish = async (data: DataRequest | undefined, threads: number): Promise<LanguageWish> => ({
  ...{ threads, seed: data?.seed ?? 0, speed: data !== undefined },
  text: data === undefined ? builtInText : await openText(data),
  ...(data?.samples !== undefined && { samples: data.samples }),
});

/** What models are opened with. */
export const optionsOf = ({ threads, context }: LanguageWish) => ({
  threads,
  ...(context !== undefined && { context }),
});

/** The engine, or why there is none; that is an error of code "engine" where it was `promised` that the file is run. */
export function runnableHere(
  promised: boolean,
  { signal }: Hooks,
): LanguageEngine | { readonly why: string; readonly remedy: string } {
  const { engine, reason, remedy } = openLlama({ signal });
  if (engine !== undefined) return engine;
  const get = remedy ? `\`${remedy}\` makes fewbit run what it writes` : "try it with llama.cpp";
  return promised
    ? fail("engine", `--data needs an engine that runs GGUF: ${reason}; ${get}`)
    : { why: reason, remedy: get };
}

/** Where the engine finds the model: files of several parts need their names, so links get them. */
export async function withPlace<T>(files: readonly FinishedFile[], use: (path: string) => Promise<T>): Promise<T> {
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

/** Opens a new model and looks at every block of it; `consequence` ends the error where the engine can't. */
export async function openNew(
  { engine, wish, hooks }: Judging,
  path: string,
  label: string,
  consequence = "nothing was written",
): Promise<LanguageSession> {
  try {
    return await engine.open({ path, label }, { ...optionsOf(wish), check: true });
  } catch (error) {
    stopIfAborted(hooks.signal);
    throw error instanceof FewbitError
      ? new FewbitError("engine", `${error.message}; ${consequence}`, { cause: error })
      : error;
  }
}

/** Opens a new model and lets it read a text. Code "engine" where it can't, or its answers are no numbers. */
export async function runAlone(judging: Judging, path: string, label: string): Promise<LanguageOutcome> {
  const { engine, wish, hooks } = judging;
  const session = await openNew(judging, path, label);
  try {
    const { windows, findings } = await windowsFor(session, wish);
    const perplexity = await perplexityOf(session, windows, hooks);
    const run = { engine: `${engine.name} ${engine.version}`, threads: wish.threads };
    return {
      run: { ...run, ...(!windows.summary.random && { alone: { text: windows.summary, perplexity } }) },
      findings,
    };
  } finally {
    await session.close();
  }
}

const TOO_LARGE = notRun("it is larger than this machine's memory", "try it with llama.cpp on a larger machine");

/** Prepares the check of a model that has no original of its kind; `data` names a text. */
export async function aloneCheck(
  data: DataRequest | undefined,
  threads: number,
  hooks: Hooks,
  memory = totalmem(),
): Promise<AloneCheck> {
  checkEvaluation(data ? { data } : {});
  const wish = await textWish(data, threads);
  const engine = runnableHere(data !== undefined, hooks);
  const judge: (...files: Parameters<Accept>) => Promise<LanguageOutcome> = async (files) => {
    if ("why" in engine) return { findings: [notRun(engine.why, engine.remedy)] };
    if (!fitsMemory(await sizeOfFiles(files.map(({ path }) => path)), memory)) return { findings: [TOO_LARGE] };
    return withPlace(files, (path) => runAlone({ engine, wish, hooks }, path, files[0]!.name));
  };
  let outcome: LanguageOutcome = { findings: [] };
  const accept: Accept = async (files) => {
    outcome = await judge(files);
  };
  return { accept, outcome: () => outcome };
}
