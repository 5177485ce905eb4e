import { expect, test } from "vitest";
import { allocate, type KnapsackOption, smallestSize } from "./knapsack.ts";
import { rng } from "./rng.ts";

type Items = readonly (readonly KnapsackOption[])[];

/** Least cost by trying all choices. */
function bruteForce(items: Items, budget: number): number {
  if (items.length === 0) return budget >= 0 ? 0 : Number.POSITIVE_INFINITY;
  const [first, ...rest] = items;
  return Math.min(...first!.map(({ size, cost }) => cost + bruteForce(rest, budget - size)));
}

/** Costs fall with the size, roughly as errors do with bits; some options are worse than smaller ones. */
function drawn(seed: number, count: number, multiple = 1): Items {
  const random = rng(seed);
  return Array.from({ length: count }, () => {
    const scale = random.uniform() + 0.1;
    return Array.from({ length: random.integer(1, 5) }, () => {
      const size = random.integer(1, 40) * multiple;
      return { size, cost: (scale * (random.uniform() + 0.2) * multiple) / size };
    });
  });
}

test("the choice is the best of all, and keeps the budget", () => {
  for (let seed = 1; seed <= 200; seed++) {
    const items = drawn(seed, 6);
    const budget = smallestSize(items) + (seed % 70);
    const { choices, size, cost, bound } = allocate(items, budget)!;
    expect(size).toBeLessThanOrEqual(budget);
    expect(size).toBe(choices.reduce((sum, i, item) => sum + items[item]![i]!.size, 0));
    // sums in another order differ in the last bits
    expect(cost, `seed ${seed}`).toBeCloseTo(bruteForce(items, budget), 10);
    expect(bound).toBeLessThanOrEqual(cost);
  }
});

test("there is none below the smallest sizes, and exactly these at their sum", () => {
  const items = drawn(7, 20);
  expect(allocate(items, smallestSize(items) - 1)).toBeUndefined();
  expect(allocate(items, smallestSize(items))?.size).toBe(smallestSize(items));
});

test("a budget for everything gives the cheapest options, the smaller one of equals", () => {
  const items = [
    [
      { size: 5, cost: 1 },
      { size: 9, cost: 0 },
      { size: 7, cost: 0 },
    ],
  ];
  expect(allocate(items, 1000)).toEqual({ choices: [2], size: 7, cost: 0, bound: 0 });
});

test("tens of thousands of items of odd sizes take a moment, and come close to the bound", () => {
  const items = drawn(3, 20_000, 1_000_003);
  const budget = smallestSize(items) * 1.7;
  const began = performance.now();
  const { size, cost, bound } = allocate(items, budget)!;
  // seconds on a slow machine; trying all would never end
  expect(performance.now() - began).toBeLessThan(10_000);
  expect(size).toBeLessThanOrEqual(budget);
  // one item of 20,000 may stay a step behind
  expect(cost / bound).toBeLessThan(1.0005);
});
