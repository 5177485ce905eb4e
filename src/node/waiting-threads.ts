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

const waiting: Worker[] = [];

/** One for each core. */
export const defaultThreads = (): number => Math.min(MOST_THREADS, availableParallelism());

/** So many threads as there is work for. */
export const usefulThreads = (wanted: number, bytes: number): number =>
  Math.max(1, Math.min(wanted, Math.ceil(bytes / BYTES_PER_THREAD)));

const begin = (): Worker => new Worker(PROGRAM, { resourceLimits: LIMITS });

/** A thread that waits for a message, its job. */
export function takeThread(): Worker {
  const worker = waiting.pop() ?? begin();
  worker.removeAllListeners();
  worker.ref();
  return worker;
}

/** A thread that nobody took and that failed is nobody's trouble: the next one is begun when it is wanted. */
function beginWaiting(): void {
  const worker = begin();
  const forget = (): void => {
    const at = waiting.indexOf(worker);
    if (at >= 0) waiting.splice(at, 1);
  };
  worker.on("error", forget).on("exit", forget).unref();
  waiting.push(worker);
}

/** Bytes of a file; 0 where there is none that can be looked at. */
function bytesOf(path: string): number {
  try {
    return statSync(path).size;
  } catch {
    return 0;
  }
}

/** What makes a command line one that encodes nothing, or with one thread. */
const WITHOUT = ["--dry-run", "--help", "-h", "--target-size", "--target-bpw"];

/** How many other threads a command line will want, judged before it is understood. */
function wantedBy([command, model = "", ...options]: readonly string[]): number {
  if (command !== "quantize" || !/\.gguf$/i.test(model) || WITHOUT.some((flag) => options.includes(flag))) return 0;
  const named = options.indexOf("--threads");
  const asked = named < 0 ? defaultThreads() : Number(options[named + 1]);
  return Number.isInteger(asked) ? usefulThreads(Math.min(asked, MOST_THREADS), bytesOf(model)) - 1 : 0;
}

/**
 * Begins the threads that a command line will want: they start while it is understood and its model opened, which takes
 * as long. A wrong guess costs their start; `takeThread` makes up for what is missing.
 */
export function beginThreads(argv: readonly string[]): void {
  for (let count = wantedBy(argv); count > 0; count--) beginWaiting();
}
