import { describe, expect, it } from "vitest";
import { FewbitError } from "../../numeric/errors.ts";
import { GGML_TYPES } from "../../numeric/ggml-types.ts";
import { ggmlContract } from "./contract.case.ts";
import {
  decodeGgml,
  encodeGgml,
  fastestGgmlFormats,
  GGML_FORMAT_NAMES,
  GGML_FORMATS,
  type GgmlFormatName,
  type GgmlRows,
  ggmlBytes,
  WASM_FORMATS,
} from "./index.ts";

ggmlContract("TypeScript", GGML_FORMATS);
ggmlContract("WebAssembly", WASM_FORMATS);

it("this runtime runs WebAssembly SIMD, so that is what is used", () => {
  expect(fastestGgmlFormats()).toBe(WASM_FORMATS);
});

it("rows longer than one call of the program takes give the bytes of the TypeScript", () => {
  const columns = 16384 + 3 * 256;
  const row = Float32Array.from({ length: columns }, (_, i) => Math.fround(Math.sin(i * i)));
  const importance = Float32Array.from({ length: columns }, (_, i) => 1 + (i >> 6));
  for (const type of ["q8_0", "q4_0", "q5_1", "q4_k", "q6_k", "iq4_nl", "mxfp4"] as const) {
    const [fast, slow] = [WASM_FORMATS, GGML_FORMATS].map((formats) => {
      const out = new Uint8Array(ggmlBytes(type, columns));
      formats[type].encode(row, out, 1, columns, importance);
      return out;
    });
    expect(fast, type).toEqual(slow);
  }
});

describe("the table", () => {
  it("has every format under its own name", () => {
    for (const type of GGML_FORMAT_NAMES) expect(GGML_FORMATS[type].id, type).toBe(GGML_TYPES[type].id);
  });

  it("has the bits per weight that ggml's documentation names", () => {
    const bits: Readonly<Record<GgmlFormatName, number>> = {
      f32: 32,
      f16: 16,
      bf16: 16,
      q8_0: 8.5,
      q6_k: 6.5625,
      q5_1: 6,
      q5_0: 5.5,
      q5_k: 5.5,
      q4_1: 5,
      q4_0: 4.5,
      q4_k: 4.5,
      iq4_nl: 4.5,
      nvfp4: 4.5,
      iq4_xs: 4.25,
      mxfp4: 4.25,
      q3_k: 3.4375,
      iq3_s: 3.4375,
      iq3_xxs: 3.0625,
      q2_k: 2.625,
      iq2_s: 2.5625,
      iq2_xs: 2.3125,
      q2_0: 2.25,
      iq2_xxs: 2.0625,
      tq2_0: 2.0625,
      iq1_m: 1.75,
      tq1_0: 1.6875,
      iq1_s: 1.5625,
      q1_0: 1.125,
    };
    const found = Object.fromEntries(GGML_FORMAT_NAMES.map((type) => [type, ggmlBytes(type, 512) / 64]));
    expect(found).toEqual(bits);
  });
});

/** Encodes one row of 256 values that `change` may spoil. */
function encodeRow(
  type: GgmlFormatName,
  rows: Partial<GgmlRows> = {},
  change?: (row: Float32Array) => void,
): Uint8Array {
  const columns = rows.columns ?? 256;
  const row = Float32Array.from({ length: columns }, (_, i) => Math.sin(i));
  change?.(row);
  const out = new Uint8Array(Math.ceil(ggmlBytes(type, columns)));
  encodeGgml(type, row, out, { name: "blk.0.ffn_up.weight", rows: 1, columns, ...rows });
  return out;
}

const ones = (): Float32Array => new Float32Array(256).fill(1);

describe("refused with tensor and place", () => {
  for (const [value, text] of [
    [Number.NaN, "NaN"],
    [Number.POSITIVE_INFINITY, "Infinity"],
    [Number.NEGATIVE_INFINITY, "-Infinity"],
  ] as const)
    for (const type of GGML_FORMAT_NAMES)
      it(`${text} in ${type}`, () => {
        const spoil = (row: Float32Array): void => row.set([value], 77);
        expect(() => encodeRow(type, { first: 1000, importance: ones() }, spoil)).toThrow(
          `tensor "blk.0.ffn_up.weight": the value at index 1077 is ${text}`,
        );
      });

  it("rows that do not divide into blocks, with the types that would fit", () => {
    expect(() => encodeRow("q4_k", { columns: 96 })).toThrow(
      /"blk.0.ffn_up.weight": rows of 96 values do not divide into the blocks of 256 that q4_k has; use one of f16, bf16, q8_0, q5_1, .*mxfp4$/,
    );
    expect(() => encodeRow("q8_0", { columns: 172 })).toThrow("use one of f16, bf16");
  });

  it("importance that is missing, where ggml or llama-quantize wants it", () => {
    for (const type of ["iq1_s", "iq1_m", "iq2_xxs", "iq2_xs", "iq2_s", "iq3_xxs"] as const)
      expect(() => encodeRow(type)).toThrow(`"blk.0.ffn_up.weight": ${type} needs an importance matrix`);
    for (const type of ["iq1_m", "iq2_s", "iq3_xxs"] as const) encodeRow(type, { allowsNoImportance: true });
    for (const type of ["iq1_s", "iq2_xxs", "iq2_xs"] as const)
      expect(() => encodeRow(type, { allowsNoImportance: true })).toThrow("needs an importance matrix");
  });

  it("importance of another length, with a weight that is none, or of zeros", () => {
    const refused = (importance: Float32Array, message: string): void =>
      expect(() => encodeRow("q4_k", { importance })).toThrow(`importance of tensor "blk.0.ffn_up.weight": ${message}`);
    refused(new Float32Array(255).fill(1), "255 weights for rows of 256 values");
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, -1])
      refused(
        ones().map((one, i) => (i === 9 ? value : one)),
        `weight 9 is ${value}`,
      );
    refused(new Float32Array(256), "all 256 weights are zero, from index 0 on");
  });

  it("values too large for the type's scales", () => {
    const huge = (row: Float32Array): void => row.set([1e12], 200);
    expect(() => encodeRow("q8_0", { first: 512 }, huge)).toThrow(
      'tensor "blk.0.ffn_up.weight": the values from index 704 on are too large for q8_0',
    );
    expect(() => encodeRow("f16", {}, huge)).toThrow("from index 200 on are too large for f16");
    expect(() => encodeRow("iq1_m", { importance: ones() }, huge)).toThrow("from index 0 on are too large for iq1_m");
    encodeRow("bf16", {}, huge);
  });

  it("values whose squares overflow, where ggml stops the process", () => {
    const huge = (row: Float32Array): void => void row.fill(1e36).fill(-3e35, 7, 100);
    for (const type of ["iq2_s", "iq3_s", "iq3_xxs"] as const)
      expect(() => encodeRow(type, { importance: ones(), first: 256 }, huge)).toThrow(
        `tensor "blk.0.ffn_up.weight": squares of the values from index 256 on overflow float32`,
      );
  });

  it("bytes and values that do not belong together", () => {
    expect(() => encodeRow("q8_0", { rows: 2 })).toThrow("256 values and 272 bytes of q8_0 do not belong together");
    const read = (bytes: number, values: number) => () =>
      decodeGgml("q8_0", new Uint8Array(bytes), new Float32Array(values), "x");
    expect(read(33, 32)).toThrow('tensor "x": 32 values and 33 bytes of q8_0');
    expect(read(34, 31)).toThrow(FewbitError);
  });
});

it("columns that never counted leave no block that is not a number", () => {
  // Whole blocks of zero weights, and single zeros: what broke other encoders.
  const importance = Float32Array.from({ length: 256 }, (_, i) => (i < 96 || i % 5 === 0 ? 0 : 1));
  for (const type of GGML_FORMAT_NAMES) {
    const values = new Float32Array(256);
    decodeGgml(type, encodeRow(type, { importance }), values, "x");
    expect(values.every(Number.isFinite), type).toBe(true);
  }
});

it("hostile bytes decode to something without a crash", () => {
  for (const type of GGML_FORMAT_NAMES)
    for (const byte of [0x00, 0x55, 0xaa, 0xff]) {
      const values = new Float32Array(256);
      decodeGgml(type, new Uint8Array(ggmlBytes(type, 256)).fill(byte), values, "x");
      expect(
        values.every((value) => value !== undefined),
        type,
      ).toBe(true);
    }
});
