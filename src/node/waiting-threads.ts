/** Threads for `encode-worker.ts`, and those of them that were begun before their job was known. */
import { statSync } from "node:fs";
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";

/** More are for those who ask: each takes some 20 MB, and the sums over the file are made by one. */
const MOST_THREADS = 16;
/** Bytes of the source that are worth a thread: starting one takes as long as encoding them. */
const BYTES_PER_THREAD = 8 * 1024 * 1024;
/** A thread's own memory; what it reads and writes lies outside of it. */
const LIMITS = { maxYoungGenerationSizeMb: 8 };

/** Source and compiled form have the thread's program beside them, each under its own ending. */
const PROGRAM = new URL(`./encode-worker${import.meta.url.endsWith(".ts") ? ".ts" : ".js"}`, import.meta.url);

/** Threads that wait, and what takes them off this list. */
const waiting = new Map<Worker, () => void>();

/** One for each core. */
export const defaultThreads = (): number => Math.min(MOST_THREADS, availableParallelism());

/** So many threads as there is work for. */
export const usefulThreads = (wanted: number, bytes: number): number =>
  Math.max(1, Math.min(wanted, Math.ceil(bytes / BYTES_PER_THREAD)));

const begin = (): Worker => new Worker(PROGRAM, { resourceLimits: LIMITS });

/** A thread that waits for a message, its job. */
export function takeThread(): Worker {
  const [first] = waiting;
  if (first === undefined) return begin();
  const [worker, forget] = first;
  forget();
  worker.off("error", forget).off("exit", forget).ref();
  return worker;
}

/** A thread that nobody took and that failed is nobody's trouble: the next one is begun when it is wanted. */
function beginWaiting(): void {
  const worker = begin();
  const forget = (): void => void waiting.delete(worker);
  waiting.set(worker, forget);
  worker.on("error", forget).on("exit", forget).unref();
}

/** Bytes of a file; 0 where there is none that can be looked at. */
function bytesOf(path: string): number {
  try {
    return statSync(path).size;
  } catch {
    return 0;
  }
}

/** What makes a command line one that encodes nothing, or not at once. */
const WITHOUT = ["--dry-run", "--help", "-h", "--target-size", "--target-bpw"];

const isModel = (word: string): boolean => /\.gguf$/i.test(word) && bytesOf(word) > 0;

/** What `--threads` says; undefined where it is not given. */
function askedBy(words: readonly string[]): number | undefined {
  const at = words.findIndex((word) => /^--threads(=|$)/.test(word));
  if (at < 0) return undefined;
  return Number(words[at]!.includes("=") ? words[at]!.split("=")[1] : words[at + 1]);
}

/** How many other threads a command line will want, judged before it is understood; 0 where it can't be told. */
export function threadsWantedBy([command, ...words]: readonly string[]): number {
  const model = words.find(isModel);
  const asked = askedBy(words) ?? defaultThreads();
  if (command !== "quantize" || model === undefined || !Number.isInteger(asked)) return 0;
  if (words.some((word) => WITHOUT.includes(word))) return 0;
  return usefulThreads(Math.min(asked, MOST_THREADS), bytesOf(model)) - 1;
}

/** Begins threads before it is known what they will do; those that are not wanted in the end cost their start. */
export function beginThreads(count: number): void {
  for (let i = 0; i < count; i++) beginWaiting();
}
