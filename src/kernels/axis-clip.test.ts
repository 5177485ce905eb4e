import { expect, test } from "vitest";
import { rng } from "../numeric/rng.ts";
import { roundHalfEven, roundToOdd } from "../numeric/rounding.ts";
import { type ClipGrid, clippedAxisScales } from "./axis-clip.ts";

const random = rng(4);
const [CHANNELS, INNER] = [6, 200];
const values = Float32Array.from({ length: CHANNELS * INNER }, () => random.normal());

function errorOf(channel: number, scale: number, { low, high, odd }: ClipGrid): number {
  const round = odd ? roundToOdd : roundHalfEven;
  return values
    .subarray(channel * INNER, (channel + 1) * INNER)
    .reduce((sum, value) => sum + (value - Math.min(Math.max(round(value / scale), low), high) * scale) ** 2, 0);
}

test.for<ClipGrid>([
  { low: -8, high: 7, max: 7 },
  { low: -1, high: 1, max: 1 },
  { low: -3, high: 3, max: 3, odd: true },
])("scales have nearly the least squared error: $low to $high", (grid) => {
  const { scales } = clippedAxisScales(values, { outer: 1, channels: CHANNELS, inner: INNER }, grid);
  for (const [channel, scale] of scales.entries()) {
    let least = Number.POSITIVE_INFINITY;
    for (let at = 0.01; at < 4; at += 0.01) least = Math.min(least, errorOf(channel, at, grid));
    expect(errorOf(channel, scale, grid)).toBeLessThan(1.02 * least);
  }
});

test("four odd codes of normal numbers lose a fifth less than four of which one is zero", () => {
  const total = (grid: ClipGrid) =>
    clippedAxisScales(values, { outer: 1, channels: CHANNELS, inner: INNER }, grid).scales.reduce(
      (sum, scale, channel) => sum + errorOf(channel, scale, grid),
      0,
    );
  // 0.119 of the square (Max, 1960) against 0.149
  expect(total({ low: -3, high: 3, max: 3, odd: true })).toBeLessThan(0.85 * total({ low: -2, high: 1, max: 1 }));
});
