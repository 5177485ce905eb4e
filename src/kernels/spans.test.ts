/** Spans beyond what the golden files of compressed-tensors show (pipeline/compressed/golden.test.ts). */
import { expect, test } from "vitest";
import { DTYPES } from "../numeric/dtypes.ts";
import { rng } from "../numeric/rng.ts";
import { clippedGrids, coveringGrids, decodeSpans, encodeSpans, type SpanGrid, type SpanParams } from "./spans.ts";

const GRIDS: readonly SpanGrid[] = [
  { dtype: "int4", symmetric: true },
  { dtype: "int4", symmetric: false },
  { dtype: "int8", symmetric: true },
  { dtype: "int8", symmetric: false },
  { dtype: "float8e4m3fn", symmetric: true },
];
const LENGTH = 64;
const label = ({ dtype, symmetric }: SpanGrid): string => `${dtype}${symmetric ? "" : " with zero points"}`;

function values(seed: number): Float32Array {
  const random = rng(seed);
  const found = Float32Array.from({ length: 32 * LENGTH }, () => random.normal() * 0.02);
  for (let i = 0; i < found.length; i += 200) found[i]! *= 12;
  return found.fill(0, 2 * LENGTH, 3 * LENGTH);
}

function errors(source: Float32Array, { dtype }: SpanGrid, params: SpanParams): readonly number[] {
  const back = decodeSpans(encodeSpans(source, LENGTH, dtype, params), LENGTH, dtype, params);
  return Array.from(params.scales, (_, span) => {
    const at = span * LENGTH;
    return source.subarray(at, at + LENGTH).reduce((sum, value, i) => sum + (value - back[at + i]!) ** 2, 0);
  });
}

test.each(GRIDS.map((grid) => [label(grid), grid] as const))(
  "%s: no span is worse for having been searched",
  (_, grid) => {
    for (const type of ["float32", "bfloat16", "float16"] as const) {
      const source = values(5);
      const covering = errors(source, grid, coveringGrids(source, LENGTH, grid, type));
      const clipped = errors(source, grid, clippedGrids(source, LENGTH, grid, type));
      // The search divides in doubles; where that puts a value on the other side of a tie, nothing is lost but rounding.
      for (const [span, error] of clipped.entries()) expect(error).toBeLessThanOrEqual(covering[span]! * (1 + 1e-6));
      expect(clipped.reduce((a, b) => a + b)).toBeLessThan(covering.reduce((a, b) => a + b));
    }
  },
);

test.each(GRIDS.map((grid) => [label(grid), grid] as const))("%s: codes stay in range, zeros stay zero", (_, grid) => {
  const source = values(9);
  for (const find of [coveringGrids, clippedGrids]) {
    const params = find(source, LENGTH, grid, "bfloat16");
    const codes = encodeSpans(source, LENGTH, grid.dtype, params);
    const { min, max } = DTYPES[grid.dtype];
    if (grid.dtype !== "float8e4m3fn")
      for (const code of new Int8Array(codes.buffer)) expect(code >= min && code <= max).toBe(true);
    expect([...params.zeroPoints].every((zero) => (grid.symmetric ? zero === 0 : zero >= min && zero <= max))).toBe(
      true,
    );
    const back = decodeSpans(codes, LENGTH, grid.dtype, params);
    for (let i = 0; i < source.length; i++) if (source[i] === 0) expect(back[i]! + 0).toBe(0);
  }
});

test("values too small for scales in half precision become zero, and nothing is divided by zero", () => {
  const tiny = new Float32Array(LENGTH).fill(1e-9);
  const params = coveringGrids(tiny, LENGTH, { dtype: "int4", symmetric: true }, "float16");
  expect(params.scales[0]).toBe(2 ** -10);
  expect([...encodeSpans(tiny, LENGTH, "int4", params)].every((code) => code === 0)).toBe(true);
});
