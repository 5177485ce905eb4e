import { expect, test } from "vitest";
import { DTYPES } from "./dtypes.ts";
import {
  decodeSmallFloats,
  encodeFloat8e4m3,
  encodeSmallFloat,
  encodeSmallFloats,
  isSmallFloat,
  type SmallFloat,
  smallFloatValues,
} from "./float8.ts";

const TYPES = Object.keys(DTYPES).filter(isSmallFloat);
const finite = (dtype: SmallFloat): readonly number[] =>
  [...new Set(smallFloatValues(dtype))].filter(Number.isFinite).sort((a, b) => a - b);

test("there are six small float types", () => expect(TYPES).toHaveLength(6));

test.each(TYPES)("%s: every code that is not NaN survives decoding and encoding", (dtype) => {
  smallFloatValues(dtype).forEach((value, code) => {
    if (!Number.isNaN(value)) expect(encodeSmallFloat(value, dtype, false), `code ${code}`).toBe(code);
  });
});

test.each(TYPES)("%s: the row of DTYPES names its smallest and largest finite value", (dtype) => {
  expect(finite(dtype).at(-1)).toBe(DTYPES[dtype].max);
  expect(finite(dtype)[0]).toBe(DTYPES[dtype].min);
});

test.each(TYPES)("%s: between two neighbours the nearer wins, and a tie goes to the even code", (dtype) => {
  const values = finite(dtype);
  for (let i = 0; i + 1 < values.length; i++) {
    const [low, high] = [values[i]!, values[i + 1]!];
    const middle = (low + high) / 2;
    const tie = encodeSmallFloat(middle, dtype);
    expect(tie % 2, `tie at ${middle}`).toBe(0);
    expect(smallFloatValues(dtype)[encodeSmallFloat(middle - (high - low) / 64, dtype)]! + 0).toBe(low + 0);
    expect(smallFloatValues(dtype)[encodeSmallFloat(middle + (high - low) / 64, dtype)]! + 0).toBe(high + 0);
  }
});

// ONNX Cast, the two tables of special values: saturate true and false.
const inf = Number.POSITIVE_INFINITY;
const specials: readonly [SmallFloat, value: number, saturated: number, otherwise: number][] = [
  ["float8e4m3fn", inf, 448, Number.NaN],
  ["float8e4m3fn", -1e9, -448, Number.NaN],
  ["float8e4m3fnuz", inf, 240, Number.NaN],
  ["float8e4m3fnuz", -1e9, -240, Number.NaN],
  ["float8e5m2", inf, 57344, inf],
  ["float8e5m2", -1e9, -57344, -inf],
  ["float8e5m2fnuz", inf, 57344, Number.NaN],
  ["float8e5m2fnuz", -1e9, -57344, Number.NaN],
  ["float8e8m0", inf, 2 ** 127, Number.NaN],
  ["float8e8m0", 0, 2 ** -127, Number.NaN],
  ["float4e2m1", inf, 6, 6],
  ["float4e2m1", -7, -6, -6],
];

test.each(specials)("%s: %d saturates to %d, else becomes %d", (dtype, value, saturated, otherwise) => {
  const values = smallFloatValues(dtype);
  expect(values[encodeSmallFloat(value, dtype)]).toBe(saturated);
  expect(values[encodeSmallFloat(value, dtype, false)]).toBe(otherwise);
});

test("NaN stays NaN in every type that has one, and the fnuz types have no minus zero", () => {
  for (const dtype of TYPES.filter((name) => name !== "float4e2m1"))
    expect(smallFloatValues(dtype)[encodeSmallFloat(Number.NaN, dtype)], dtype).toBeNaN();
  expect(encodeSmallFloat(-0, "float8e4m3fnuz")).toBe(0);
  expect(encodeSmallFloat(-1e-9, "float8e5m2fnuz")).toBe(0);
  expect(encodeSmallFloat(-0, "float8e4m3fn")).toBe(0x80);
});

test("values of the OCP Microscaling specification: e2m1", () => {
  expect([
    ...decodeSmallFloats(
      Uint8Array.from({ length: 8 }, (_, i) => i),
      "float4e2m1",
    ),
  ]).toEqual([0, 0.5, 1, 1.5, 2, 3, 4, 6]);
  expect([...encodeSmallFloats([0.25, 0.75, 5, -5, 2.5], "float4e2m1")]).toEqual([0, 2, 6, 14, 4]);
});

test("e4m3 by bit tricks gives the codes of the plain encoder, for values of every exponent and for every tie", () => {
  const grid = finite("float8e4m3fn");
  const ties = grid.slice(1).flatMap((value, i) => [value, (value + grid[i]!) / 2]);
  const near = ties.flatMap((value) => [value, value * (1 + 2 ** -20), value * (1 - 2 ** -20)]);
  const powers = Array.from({ length: 250 }, (_, i) => (i % 2 === 0 ? 1 : -1) * 1.37 * 2 ** (i - 125));
  const values = Float32Array.from([...near, ...powers, 0, -0, 464, 1e30, -Infinity, Infinity, Number.NaN]);
  const codes = new Uint8Array(values.length);
  encodeFloat8e4m3(values, codes);
  expect([...codes]).toEqual([...encodeSmallFloats(values, "float8e4m3fn")]);
});
