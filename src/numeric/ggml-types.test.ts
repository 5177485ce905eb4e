import { expect, test } from "vitest";
import { GGML_TYPES, type GgmlType, type GgmlTypeRow, ggmlNameOf, ggmlTypeOf, isBlockType } from "./ggml-types.ts";

const rows = Object.entries(GGML_TYPES) as [GgmlType, GgmlTypeRow][];

/** Bits per weight as the documentation of llama.cpp states them: another source than the structs. */
const BITS: Partial<Record<GgmlType, number>> = {
  q1_0: 1.125,
  iq1_s: 1.5625,
  tq1_0: 1.6875,
  iq1_m: 1.75,
  tq2_0: 2.0625,
  iq2_xxs: 2.0625,
  q2_0: 2.25,
  iq2_xs: 2.3125,
  iq2_s: 2.5625,
  q2_k: 2.625,
  iq3_xxs: 3.0625,
  iq3_s: 3.4375,
  q3_k: 3.4375,
  iq4_xs: 4.25,
  mxfp4: 4.25,
  q4_0: 4.5,
  q4_k: 4.5,
  iq4_nl: 4.5,
  nvfp4: 4.5,
  q4_1: 5,
  q5_0: 5.5,
  q5_k: 5.5,
  q5_1: 6,
  q6_k: 6.5625,
  q8_0: 8.5,
};

test("blocks take the bits per weight that llama.cpp states", () => {
  for (const [name, bits] of Object.entries(BITS)) {
    const { block, bytes } = GGML_TYPES[name as GgmlType];
    expect((8 * bytes) / block, name).toBe(bits);
  }
});

test("ids are those of one type each and lead back to it", () => {
  expect(new Set(rows.map(([, { id }]) => id)).size).toBe(rows.length);
  for (const [name, { id }] of rows) expect(ggmlTypeOf(id)).toBe(name);
  for (const removed of [4, 5, 31, 32, 33, 36, 37, 38, 43]) expect(ggmlTypeOf(removed)).toBeUndefined();
});

test("plain elements are dtypes, block types are not", () => {
  for (const [name, { dtype, block }] of rows) {
    expect(isBlockType(name)).toBe(block > 1);
    if (dtype !== undefined) expect(ggmlNameOf(dtype)).toBe(name);
  }
  expect(ggmlNameOf("uint8")).toBeUndefined();
  expect(isBlockType("float32")).toBe(false);
  expect(isBlockType("toString")).toBe(false);
});
