/** Comparing speed fairly: the runners take turns, so that whatever else the machine does hits all of them alike. */
import { fail } from "../numeric/errors.ts";

/** One of the things whose speed is compared. */
export interface Runner {
  readonly name: string;
  run(): Promise<unknown>;
}

/** How long to measure. */
export interface InterleaveOptions {
  /** Untimed rounds before the first timed one; 3 by default. */
  readonly warmup?: number;
  /** Timed rounds at most; 100 by default. */
  readonly rounds?: number;
  /** Timed rounds that are run even when the budget is spent; 5 by default. */
  readonly minRounds?: number;
  /** Milliseconds after which no further round starts; 10,000 by default. Warm-up counts. */
  readonly budgetMs?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, rounds: number) => void;
}

/** All in milliseconds but the last two. */
export interface Timing {
  readonly name: string;
  readonly median: number;
  /** One of ten runs was at least as fast. */
  readonly p10: number;
  /** Nine of ten runs were at least as fast. */
  readonly p90: number;
  readonly min: number;
  /** Distance between the quartiles. */
  readonly spread: number;
  readonly runs: number;
  /** Time over the first runner's time in the same round, median over the rounds: 0.5 is twice as fast. */
  readonly ratio: number;
}

/** Milliseconds after which timers and signals get a turn: engines that run synchronously would starve them. */
const YIELD_MS = 50;

/** Value below which the share `q` of the sorted values lies, linear between neighbours. */
export function quantile(sorted: readonly number[], q: number): number {
  const at = (sorted.length - 1) * q;
  const low = sorted[Math.floor(at)] ?? 0;
  const high = sorted[Math.ceil(at)] ?? 0;
  return low + (high - low) * (at - Math.floor(at));
}

const ascending = (values: readonly number[]): readonly number[] => [...values].sort((a, b) => a - b);

/** Rounds that the clock could not tell from nothing are left out. */
const pairwise = (times: readonly number[], first: readonly number[]): readonly number[] =>
  times.flatMap((time, round) => (first[round] ? [time / first[round]] : []));

function summary(name: string, times: readonly number[], first: readonly number[]): Timing {
  const sorted = ascending(times);
  return {
    name,
    median: quantile(sorted, 0.5),
    p10: quantile(sorted, 0.1),
    p90: quantile(sorted, 0.9),
    min: sorted[0] ?? 0,
    spread: quantile(sorted, 0.75) - quantile(sorted, 0.25),
    runs: times.length,
    ratio: quantile(ascending(pairwise(times, first)), 0.5),
  };
}

const macrotask = (): Promise<void> => new Promise((resolve) => setTimeout(resolve));

/** One turn of every runner, starting with another one each round. Milliseconds by position in `runners`. */
async function round(runners: readonly Runner[], first: number, signal?: AbortSignal): Promise<readonly number[]> {
  const times = runners.map(() => 0);
  for (let turn = 0; turn < runners.length; turn++) {
    if (signal?.aborted) fail("cancelled", "the measurement was interrupted");
    const index = (first + turn) % runners.length;
    const start = performance.now();
    await runners[index]!.run();
    times[index] = performance.now() - start;
  }
  return times;
}

/** Runs A B, B A, A B, ... and summarizes the times of each runner. */
export async function interleave(
  runners: readonly Runner[],
  options: InterleaveOptions = {},
): Promise<readonly Timing[]> {
  const { warmup = 3, rounds = 100, minRounds = 5, budgetMs = 10_000, signal, onProgress } = options;
  const start = performance.now();
  const spent = () => performance.now() - start;
  const seen: (readonly number[])[] = [];
  let yielded = 0;
  for (let count = -warmup; count < rounds; count++) {
    if (count >= minRounds && spent() >= budgetMs) break;
    const times = await round(runners, (count + warmup) % runners.length, signal);
    if (count >= 0) seen.push(times);
    onProgress?.(seen.length, rounds);
    if (spent() - yielded < YIELD_MS) continue;
    await macrotask();
    yielded = spent();
  }
  const column = (index: number) => seen.map((times) => times[index] ?? 0);
  return runners.map(({ name }, index) => summary(name, column(index), column(0)));
}
