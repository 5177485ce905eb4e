import { expect, test } from "vitest";
import { sideOfTies } from "./ties.ts";

test.each([
  ["a half", 0.5, 1],
  ["an eighth", 1 / 8, 1],
  ["just below an eighth", (1 / 8) * (1 - 4e-7), -1],
  ["just above an eighth", (1 / 8) * (1 + 4e-7), 1],
  ["an odd number of halves", 3.5, 1],
  ["a fraction that can be reduced to an even denominator", 3 / 18, 1],
  ["the smallest that is looked for", 1 / 256, 1],
  ["an eighth, two parts in a hundred thousand off", (1 / 8) * (1 + 2e-5), 0],
  ["a third: its multiples are no halves", 1 / 3, 0],
  ["a whole number", 2, 0],
  ["one sum of 258 on a tie", 1 / 258, 0],
  ["nothing near a fraction", Math.SQRT1_2, 0],
])("%s: %f lies on side %d of ties", (_, factor, expected) => {
  expect(sideOfTies(factor)).toBe(expected);
});
