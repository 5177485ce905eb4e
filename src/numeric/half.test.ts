import { expect, test } from "vitest";
import {
  bfloat16ToFloat,
  decodeBfloat16,
  decodeHalf,
  encodeBfloat16,
  encodeHalf,
  floatToBfloat16,
  floatToHalf,
  halfToFloat,
} from "./half.ts";
import { rng } from "./rng.ts";

const ALL = Uint16Array.from({ length: 65536 }, (_, bits) => bits);
const isNaNHalf = (bits: number): boolean => (bits & 0x7fff) > 0x7c00;
const isNaNBfloat16 = (bits: number): boolean => (bits & 0x7fff) > 0x7f80;

test("all 65536 halves survive decoding and encoding, arrays and scalars alike", () => {
  const values = decodeHalf(ALL);
  const again = encodeHalf(values);
  for (const bits of ALL) {
    if (isNaNHalf(bits)) {
      expect(values[bits]).toBeNaN();
      expect(again[bits]).toBe(bits | 0x200);
    } else if (
      again[bits] !== bits ||
      floatToHalf(values[bits]!) !== bits ||
      !Object.is(values[bits], halfToFloat(bits))
    )
      expect.fail(`half ${bits}`);
  }
});

test("all 65536 bfloat16 survive decoding and encoding, arrays and scalars alike", () => {
  const values = decodeBfloat16(ALL);
  const again = encodeBfloat16(values);
  for (const bits of ALL) {
    if (isNaNBfloat16(bits)) {
      expect(values[bits]).toBeNaN();
      expect(again[bits]).toBe(bits | 0x40);
    } else if (
      again[bits] !== bits ||
      floatToBfloat16(values[bits]!) !== bits ||
      !Object.is(values[bits], bfloat16ToFloat(bits))
    )
      expect.fail(`bfloat16 ${bits}`);
  }
});

test("halfway between neighbouring halves goes to the even one, a float32 step aside to the nearer", () => {
  const values = decodeHalf(ALL);
  const step = (value: number, by: number): number => {
    const word = new Uint32Array(Float32Array.of(value).buffer);
    word[0]! += by;
    return new Float32Array(word.buffer)[0]!;
  };
  for (let bits = 0; bits < 0x7bff; bits++) {
    const middle = (values[bits]! + values[bits + 1]!) / 2;
    const found = encodeHalf(Float32Array.of(middle, step(middle, -1), step(middle, 1), -middle));
    const even = bits + (bits & 1);
    if (found[0] !== even || found[1] !== bits || found[2] !== bits + 1 || found[3] !== (even | 0x8000))
      expect.fail(`around ${middle}: ${found}`);
  }
});

test("a double is rounded once, not through float32", () => {
  const aboveTie = 1 + 2 ** -11 + 2 ** -40;
  expect(halfToFloat(floatToHalf(aboveTie))).toBe(1 + 2 ** -10);
  expect(halfToFloat(floatToHalf(Math.fround(aboveTie)))).toBe(1);
  expect(floatToHalf(2 ** -25 + 2 ** -70)).toBe(1);
  expect(floatToHalf(2 ** -25)).toBe(0);
});

test("overflow starts at 65520 and keeps the sign", () => {
  expect(floatToHalf(65519.999)).toBe(0x7bff);
  expect(floatToHalf(65520)).toBe(0x7c00);
  expect([...encodeHalf(Float32Array.of(65519.996, 65520, -65520, 1e38, -0))]).toEqual([
    0x7bff, 0x7c00, 0xfc00, 0x7c00, 0x8000,
  ]);
  expect([...encodeBfloat16(Float32Array.of(3.4e38, -Infinity))]).toEqual([0x7f80, 0xff80]);
});

test("the array path and the scalar path agree on random float32 bits", () => {
  const random = rng(1);
  const values = new Float32Array(Uint32Array.from({ length: 100_000 }, () => random.bits()).buffer);
  const halves = encodeHalf(values);
  const brains = encodeBfloat16(values);
  for (let i = 0; i < values.length; i++) {
    if (Number.isNaN(values[i])) continue;
    if (halves[i] !== floatToHalf(values[i]!) || brains[i] !== floatToBfloat16(values[i]!))
      expect.fail(`${values[i]} became ${halves[i]} and ${brains[i]}`);
  }
});
