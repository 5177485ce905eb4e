/** A short run of the fuzzer in bench/fuzz-tflite.js, with models built in code. */
import { expect, test } from "vitest";
import { damagedFile, outcomeOf, seedsOf } from "./fuzz.case.ts";

test("500 damaged files each give a clear error or a verified model", async () => {
  const seeds = await seedsOf([]);
  const counts: Record<string, number> = {};
  for (let number = 0; number < 500; number++) {
    const outcome = await outcomeOf(await damagedFile(number, seeds), number % 4 === 0);
    counts[outcome] = (counts[outcome] ?? 0) + 1;
  }
  expect(counts.format).toBeGreaterThan(100);
  expect(counts.verified).toBeGreaterThan(20);
});
