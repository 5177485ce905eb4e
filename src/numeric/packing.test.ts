import { expect, test } from "vitest";
import { packCodes, unpackSigned, unpackUnsigned } from "./packing.ts";

test("the first code sits in the lowest bits, the last byte is padded with zeros", () => {
  expect([...packCodes([1, 2, 15], 4)]).toEqual([0x21, 0x0f]);
  expect([...packCodes([-1, -8, 7], 4)]).toEqual([0x8f, 0x07]);
  expect([...packCodes([0, 1, 2, 3, 1], 2)]).toEqual([0b11100100, 1]);
  expect([...packCodes([-2, -1, 0, 1], 2)]).toEqual([0b01001110]);
});

test.each([2, 4] as const)("%d-bit codes of every value and length survive packing", (bits) => {
  for (let length = 0; length < 20; length++) {
    const unsigned = Array.from({ length }, (_, i) => (i * 7 + length) % 2 ** bits);
    const signed = unsigned.map((code) => code - 2 ** (bits - 1));
    expect([...unpackUnsigned(packCodes(unsigned, bits), bits, length)]).toEqual(unsigned);
    expect([...unpackSigned(packCodes(signed, bits), bits, length)]).toEqual(signed);
  }
});

test("too few bytes are refused with both numbers", () => {
  expect(() => unpackUnsigned(new Uint8Array(2), 4, 5)).toThrow("5 codes of 4 bits need 3 bytes, found 2");
});

test.each([2, 4] as const)(
  "%d-bit codes are packed alike from arrays of every kind, and from a part of one",
  (bits) => {
    const codes = Array.from({ length: 11 }, (_, i) => ((i * 5) % 2 ** bits) - 2 ** (bits - 1));
    const expected = packCodes(codes, bits);
    for (const kind of [Int8Array, Uint8Array, Int32Array, Float32Array])
      expect(packCodes(kind.from(codes), bits)).toEqual(expected);
    expect(packCodes(Int8Array.of(9, ...codes, 9).subarray(1, -1), bits)).toEqual(expected);
  },
);
