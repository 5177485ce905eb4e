/** Several pieces of work at the same time. */
import { stopIfAborted } from "./progress.ts";

/**
 * Works on all items, `most` at a time, begun in their order; answers the results in that order. The first failure stops the
 * others by the signal they were given, and is thrown once all have ended.
 */
export async function sideBySide<T, R>(
  items: readonly T[],
  most: number,
  signal: AbortSignal,
  work: (item: T, signal: AbortSignal) => Promise<R>,
): Promise<readonly R[]> {
  const results: R[] = [];
  const failures: unknown[] = [];
  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  let begun = 0;
  const lane = async (): Promise<void> => {
    while (begun < items.length && !either.aborted) {
      const index = begun++;
      try {
        results[index] = await work(items[index]!, either);
      } catch (error) {
        failures.push(error);
        stop.abort();
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(most, items.length) }, lane));
  if (failures.length > 0) throw failures[0];
  stopIfAborted(signal);
  return results;
}
