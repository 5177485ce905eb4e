import { expect, test } from "vitest";
import { closest, didYouMean, quotedList } from "./suggest.ts";

test("the closest name is suggested, a far one is not", () => {
  expect(closest("mimmax", ["min-max", "mse", "entropy"])).toBe("min-max");
  expect(closest("W8A8", ["w8a8", "w8"])).toBe("w8a8");
  expect(closest("banana", ["min-max", "mse"])).toBeUndefined();
  expect(didYouMean("entrpy", ["entropy"])).toBe('; did you mean "entropy"?');
  expect(didYouMean("x".repeat(1000), ["entropy"])).toBe("");
});

test("a long list is cut and says so", () => {
  expect(quotedList(["a", "b", "c"], 2)).toBe('"a", "b" and 1 more');
  expect(quotedList(["a"])).toBe('"a"');
});
