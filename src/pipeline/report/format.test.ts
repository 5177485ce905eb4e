import { expect, it } from "vitest";
import {
  bytes,
  compact,
  cosine,
  decibels,
  digits,
  list,
  metricChange,
  milliseconds,
  percent,
  shorten,
  times,
} from "./format.ts";

it("writes sizes in decimal units with three digits", () => {
  expect([0, 999, 1000, 312_402, 999_499, 999_500, 1.5e9].map(bytes)).toEqual([
    "0 B",
    "999 B",
    "1.00 kB",
    "312 kB",
    "999 kB",
    "1.00 MB",
    "1.50 GB",
  ]);
});

it("writes times in milliseconds below a second", () => {
  expect([0.01234, 1.2, 99.96, 999, 1500].map(milliseconds)).toEqual([
    "0.0123 ms",
    "1.20 ms",
    "100 ms",
    "999 ms",
    "1.50 s",
  ]);
});

it("writes ratios, shares, noise and cosines as the field does", () => {
  expect([3.4213, 12.34, 123.4, 0].map(times)).toEqual(["3.42x", "12.3x", "123x", "-"]);
  expect([0.8771, 1, 0, 0.99999].map(percent)).toEqual(["87.71 %", "100 %", "0 %", "100 %"]);
  expect([41.234, null].map(decibels)).toEqual(["41.2 dB", "exact"]);
  expect([1, 0.99991234, 0.9812].map(cosine)).toEqual(["1.0000", "0.999912", "0.9812"]);
});

it("keeps small and large numbers readable", () => {
  expect([0, 0.000012, 0.0123, 1, 12.34, 12345].map(digits)).toEqual([
    "0.00",
    "1.2e-5",
    "0.0123",
    "1.00",
    "12.3",
    "12345",
  ]);
  expect([950, 12_300, 4_560_000].map(compact)).toEqual(["950", "12.3k", "4.56M"]);
});

it("shows a change of a share in percent points", () => {
  const metric = { before: 0.8771, after: 0.8755, higherIsBetter: true, unit: "share" } as const;
  expect(metricChange(metric)).toBe("-0.16");
  expect(metricChange({ ...metric, after: 0.8771 })).toBe("±0");
});

it("joins lists and shortens names in the middle", () => {
  expect([list([]), list(["a"]), list(["a", "b", "c"])]).toEqual(["", "a", "a, b and c"]);
  expect(shorten("abcdefghij", 5)).toBe("ab…ij");
});
