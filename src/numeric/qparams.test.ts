import { expect, test } from "vitest";
import { DTYPES } from "./dtypes.ts";
import { affine, codeRange, dequantizeValues, MIN_SCALE, quantizeValues } from "./qparams.ts";
import { rng } from "./rng.ts";

const { uint8, int8, int4, uint4, int16, float8e4m3fn } = DTYPES;

test("an asymmetric grid spans the range with all its codes", () => {
  expect(affine(-1, 1, uint8, false)).toEqual({ scale: Math.fround(2 / 255), zeroPoint: 127 });
  expect(affine(0, 25.5, uint8, false)).toEqual({ scale: Math.fround(0.1), zeroPoint: 0 });
  expect(affine(-25.5, 0, uint8, false)).toEqual({ scale: Math.fround(0.1), zeroPoint: 255 });
  expect(affine(-1, 1, int8, false).zeroPoint).toBe(-1);
});

test("a range that leaves out zero is stretched to it", () => {
  expect(affine(3, 5.1, uint8, false)).toEqual(affine(0, 5.1, uint8, false));
  expect(affine(-5, -4, int8, true)).toEqual(affine(-5, 0, int8, true));
});

test("a symmetric grid has its zero point in the middle and reaches the larger side exactly", () => {
  expect(affine(-2, 12.7, int8, true)).toEqual({ scale: Math.fround(0.1), zeroPoint: 0 });
  expect(affine(-2, 12.7, uint8, true)).toEqual({ scale: Math.fround(0.1), zeroPoint: 128 });
  expect(affine(-7, 0, int4, true)).toEqual({ scale: 1, zeroPoint: 0 });
  expect(affine(-7, 0, uint4, true)).toEqual({ scale: 1, zeroPoint: 8 });
  expect(affine(-448, 1, float8e4m3fn, false)).toEqual({ scale: 1, zeroPoint: 0 });
});

test("a reduced range leaves one bit unused", () => {
  expect(codeRange(int8, true)).toEqual([-127, 127]);
  expect(codeRange(int8, true, true)).toEqual([-64, 64]);
  expect(codeRange(uint8, false, true)).toEqual([0, 127]);
  expect(affine(-6.4, 6.4, int8, true, true).scale).toBe(Math.fround(0.1));
  expect(affine(0, 12.7, uint8, false, true)).toEqual({ scale: Math.fround(0.1), zeroPoint: 0 });
});

test("the scale is never zero, denormal or infinite", () => {
  expect(affine(0, 0, uint8, false)).toEqual({ scale: 1, zeroPoint: 0 });
  expect(affine(0, 0, uint8, true)).toEqual({ scale: 1, zeroPoint: 128 });
  expect(affine(0, 1e-44, int8, false).scale).toBe(MIN_SCALE);
  expect(affine(-3e38, 3.4e38, int8, false).scale).toBeLessThan(Infinity);
  expect(() => affine(0, Number.NaN, int8, true)).toThrow("can't be put on a grid");
});

test("codes round half to even and saturate, as in ONNX QuantizeLinear", () => {
  const grid = { scale: 2, zeroPoint: 128 };
  const values = Float32Array.of(0, 2, 3, 1000, -254, -1000, 5, -5, 1, -1);
  expect([...quantizeValues(values, grid, uint8)]).toEqual([128, 129, 130, 255, 1, 0, 130, 126, 128, 128]);
  expect(quantizeValues(values, { scale: 2, zeroPoint: 0 }, int8, new Int8Array(10))[3]).toBe(127);
});

test("the quotient is rounded to float32 before it is rounded to an integer", () => {
  const scale = Math.fround(0.1);
  const value = Math.fround(0.35);
  expect(value / scale).toBeLessThan(3.5);
  expect(Math.fround(value / scale)).toBe(3.5);
  expect(quantizeValues(Float32Array.of(value), { scale, zeroPoint: 0 }, int8)[0]).toBe(4);
});

test("a value inside the range comes back within half a step, zero exactly", () => {
  const random = rng(5);
  const values = Float32Array.from({ length: 1000 }, () => random.normal());
  values[0] = 0;
  for (const row of [uint8, int8, int16, int4])
    for (const symmetric of [true, false]) {
      const grid = affine(Math.min(...values), Math.max(...values), row, symmetric);
      const back = dequantizeValues(quantizeValues(values, grid, row), grid);
      expect(back[0]! + 0).toBe(0);
      // Half a step, and the rounding of the zero point, which moves the ends by up to half a step.
      const errors = values.map((value, i) => Math.abs(value - back[i]!));
      expect(Math.max(...errors)).toBeLessThan(grid.scale * 1.0001);
    }
});
