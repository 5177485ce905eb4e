import { describe, expect, it } from "vitest";
import { rng } from "../../numeric/rng.ts";
import { difference } from "./difference.ts";
import { type FloatType, firstNonFinite, firstNonFiniteReference } from "./finite.ts";
import { DOUBT } from "./format.ts";
import { GGML_FORMAT_NAMES, GGML_FORMATS, type GgmlFormatName, type GgmlFormats, ggmlBytes } from "./formats.ts";
import { ggmlBuffers } from "./machine.ts";
import { WASM_FORMATS } from "./wasm.ts";

const COLUMNS = 512;
const draw = rng(7);

const word = new Uint32Array(1);

/** The float32 of these bits; 1 where they are infinite or no number. */
function finiteOf(bits: number): number {
  word[0] = bits;
  const value = new Float32Array(word.buffer)[0]!;
  return Number.isFinite(value) ? value : 1;
}

/** Rows on which a shortcut of the program could go wrong, by what is special about them. */
const ROWS: Readonly<Record<string, (i: number) => number>> = {
  "zeros of both signs": (i) => (i % 7 === 0 ? -0 : 0),
  constants: () => -1,
  "ties of the two largest magnitudes": (i) => (i % 32 < 16 ? 1 : -1) * (1 + (i & 3) * 0.5),
  "halves of steps": (i) => ((i % 32) - 16) / 2,
  "small integers": () => draw.integer(-4, 4) * 0.25,
  "no negative values": () => Math.max(0, draw.normal()),
  "mostly zeros": () => (draw.uniform() < 0.9 ? 0 : draw.normal()),
  "subnormal values": (i) => draw.normal() * 2 ** (-126 - ((i >> 5) % 20)),
  "scales that are subnormal halves": (i) => draw.normal() * 2 ** (-14 - ((i >> 5) % 12)),
  "magnitudes around the least that counts": () => draw.normal() * 1e-15,
  "blocks of very different scales": (i) => draw.normal() * 2 ** (((i >> 4) % 40) - 20),
  "scales beyond halves": () => draw.normal() * 1e12,
  "squares that overflow": () => draw.normal() * 1e30,
  "blocks of any scale there is": (i) => draw.normal() * 2 ** ((((i >> 5) * 17) % 270) - 148),
  "any finite bits": () => finiteOf(draw.integer(0, 0xffffffff)),
  "differences that overflow": (i) => (i % 5 === 0 ? -3e38 : 3e38),
};

const IMPORTANCE = Float32Array.from({ length: COLUMNS }, (_, i) => (i % 37 === 0 ? 0 : draw.uniform()));

function encoded(formats: GgmlFormats, type: GgmlFormatName, row: Float32Array, weights?: Float32Array): unknown {
  const out = new Uint8Array(ggmlBytes(type, row.length));
  const refused = formats[type].encode(row, out, 1, row.length, weights);
  return refused >= 0 ? refused : out;
}

describe("the program gives the bytes of the TypeScript on", () => {
  for (const [name, value] of Object.entries(ROWS))
    it(name, () => {
      const row = Float32Array.from({ length: COLUMNS }, (_, i) => value(i));
      for (const type of GGML_FORMAT_NAMES) {
        const uses = GGML_FORMATS[type].importance;
        for (const weights of uses === "required" ? [IMPORTANCE] : [undefined, IMPORTANCE])
          expect(encoded(WASM_FORMATS, type, row, weights), type).toEqual(encoded(GGML_FORMATS, type, row, weights));
      }
    });
});

it("any bytes decode to the values of the TypeScript", () => {
  for (const type of GGML_FORMAT_NAMES) {
    const bytes = Uint8Array.from({ length: ggmlBytes(type, 16 * COLUMNS) }, () => draw.integer(0, 255));
    const [fast, slow] = [WASM_FORMATS, GGML_FORMATS].map((formats) => {
      const values = new Float32Array(16 * COLUMNS);
      formats[type].decode(bytes, values);
      return values;
    });
    const different = fast!.findIndex((x, i) => !Object.is(x, slow![i]));
    expect(different, `${type}: ${fast![different]} and ${slow![different]}`).toBe(-1);
  }
});

describe("arrays in the program's memory", () => {
  it("are encoded and decoded where they lie", () => {
    const count = 3 * 16384 + COLUMNS;
    const { input, values, output } = ggmlBuffers(count);
    const row = Float32Array.from({ length: count }, () => draw.normal());
    for (const type of GGML_FORMAT_NAMES) {
      if (GGML_FORMATS[type].importance === "required" || type.startsWith("iq")) continue;
      const expected = new Uint8Array(ggmlBytes(type, count));
      WASM_FORMATS[type].encode(row, expected, 1, count);
      values.set(row);
      const blocks = output.subarray(0, expected.length);
      WASM_FORMATS[type].encode(values.subarray(0, count), blocks, 1, count);
      expect(Buffer.compare(blocks, expected), type).toBe(0);
      const decoded = new Float32Array(count);
      WASM_FORMATS[type].decode(expected, decoded);
      input.set(expected);
      WASM_FORMATS[type].decode(input.subarray(0, expected.length), values.subarray(0, count));
      expect(
        Buffer.compare(new Uint8Array(values.buffer, values.byteOffset, 4 * count), new Uint8Array(decoded.buffer)),
        type,
      ).toBe(0);
    }
  });

  it("stay the same until more room is asked for", () => {
    const before = ggmlBuffers(1024);
    expect(ggmlBuffers(512)).toBe(before);
    const after = ggmlBuffers(before.values.length + 1);
    expect(after.values.length).toBe(before.values.length + 1);
    const out = new Uint8Array(ggmlBytes("q8_0", 32));
    WASM_FORMATS.q8_0.encode(new Float32Array(32).fill(1), out, 1, 32);
    expect(out[2]).toBe(127);
  });
});

describe("encoders that look at their values themselves", () => {
  const types = GGML_FORMAT_NAMES.filter((type) => WASM_FORMATS[type].findsNonFinite);
  const row = Float32Array.from({ length: COLUMNS + 256 }, () => draw.normal());
  const encodeRow = (type: GgmlFormatName): number => {
    const out = new Uint8Array(ggmlBytes(type, row.length));
    return WASM_FORMATS[type].encode(row, out, 1, row.length);
  };

  it("are those without a search", () => {
    const searched = GGML_FORMAT_NAMES.filter((type) => !types.includes(type) && type !== "f32");
    expect(searched.every((type) => /^iq|_k$/.test(type))).toBe(true);
  });

  for (const type of types)
    it(`${type}: doubt every value that is not finite, and no other`, () => {
      expect(encodeRow(type)).toBe(-1);
      row.fill(1e-42, 32, 64).fill(0, 64, 96);
      expect(encodeRow(type), "a subnormal scale").toBe(-1);
      for (let at = 0; at < row.length; at += 1) {
        const before = row[at]!;
        for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
          row[at] = bad;
          expect(encodeRow(type), `${bad} at ${at}`).toBe(DOUBT);
        }
        row[at] = before;
      }
    });

  it("doubt the least scale that is no half any more", () => {
    // The largest value over the scale, where every second value is zero.
    const shares = { f16: 1, q8_0: 127, q5_1: 31, q4_1: 15, q5_0: 16, q4_0: 8, q2_0: 1, q1_0: 2, tq1_0: 1, tq2_0: 1 };
    for (const [type, share] of Object.entries(shares))
      for (const scale of [65519, 65520]) {
        const large = new Float32Array(COLUMNS).map((_, i) => (i % 2) * scale * share);
        const out = new Uint8Array(ggmlBytes(type as GgmlFormatName, COLUMNS));
        const answer = WASM_FORMATS[type as GgmlFormatName].encode(large, out, 1, COLUMNS);
        expect(answer, `${type} ${scale}`).toBe(scale === 65520 ? DOUBT : -1);
      }
    const tiny = new Float32Array(COLUMNS).fill(2 ** -126, 300, 301);
    expect(WASM_FORMATS.mxfp4.encode(tiny, new Uint8Array(ggmlBytes("mxfp4", COLUMNS)), 1, COLUMNS)).toBe(DOUBT);
    const beyond = new Float32Array(COLUMNS).fill(3.4e38, 300, 301);
    expect(WASM_FORMATS.bf16.encode(beyond, new Uint8Array(2 * COLUMNS), 1, COLUMNS)).toBe(DOUBT);
    expect(WASM_FORMATS.q4_1.encode(beyond.fill(-65520, 300, 301), new Uint8Array(320), 1, COLUMNS)).toBe(DOUBT);
  });
});

describe("differences", () => {
  const count = 3 * 256;
  const values = ggmlBuffers(2 * count).values.subarray(0, count);
  const plain = Float32Array.from({ length: count }, () => draw.normal());

  it("in the program's memory are those of arrays", () => {
    for (const type of ["q4_1", "q2_k", "iq3_s", "bf16"] as const) {
      values.set(plain);
      const blocks = new Uint8Array(ggmlBytes(type, count));
      WASM_FORMATS[type].encode(plain, blocks, 1, count);
      const { signal, noise } = difference(GGML_FORMATS[type], plain, blocks, 512);
      expect(difference(WASM_FORMATS[type], values, blocks, 512)).toEqual({ signal, noise });
      const squares = plain.subarray(0, 512).reduce((sum, x) => sum + x * x, 0);
      expect(signal / squares).toBeCloseTo(1, 10);
      expect(noise / signal).toBeLessThan(0.1);
      expect(noise).toBeGreaterThan(0);
    }
  });

  it("of one value are its own", () => {
    values[0] = 1 / 3;
    const blocks = new Uint8Array(2);
    WASM_FORMATS.f16.encode(values.subarray(0, 1), blocks, 1, 1);
    const error = 0.333251953125 - Math.fround(1 / 3);
    expect(difference(WASM_FORMATS.f16, values, blocks, 1)).toEqual({
      signal: Math.fround(1 / 3) ** 2,
      noise: error ** 2,
    });
  });
});

describe("the first value that is not finite is found", () => {
  const bad: Readonly<Record<FloatType, readonly number[]>> = {
    float32: [0x7f800000, 0xff800000, 0x7fc00000],
    float16: [0x7c00, 0xfc00, 0x7e00],
    bfloat16: [0x7f80, 0xff80, 0x7fc0],
  };
  for (const type of ["float32", "float16", "bfloat16"] as const)
    it(`in ${type}, wherever it is`, () => {
      const size = type === "float32" ? 4 : 2;
      // The largest finite values everywhere else: only the last bit of the exponent is missing.
      const most = { float32: 0x7f7fffff, float16: 0x7bff, bfloat16: 0x7f7f }[type];
      const words = size === 4 ? new Uint32Array(50000).fill(most) : new Uint16Array(50000).fill(most);
      const bytes = new Uint8Array(words.buffer);
      for (const find of [firstNonFinite, firstNonFiniteReference]) {
        expect(find(bytes, type)).toBe(-1);
        for (const at of [0, 15, 16, 17, 32768, 49999])
          for (const word of bad[type]) {
            words[at] = word;
            expect(find(bytes, type)).toBe(at);
            words[at] = most;
          }
      }
    });

  it("at any offset, also in the program's memory", () => {
    const bytes = new Uint8Array(4 * 100 + 1).subarray(1);
    bytes.set([0, 0, 0xc0, 0x7f], 4 * 77);
    expect(firstNonFinite(bytes, "float32")).toBe(77);
    const { values } = ggmlBuffers(1024);
    values.fill(0, 0, 1024);
    values[1001] = Number.NEGATIVE_INFINITY;
    expect(firstNonFinite(new Uint8Array(values.buffer, values.byteOffset, 4096), "float32")).toBe(1001);
  });
});
