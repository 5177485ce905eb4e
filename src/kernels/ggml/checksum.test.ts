import { expect, test } from "vitest";
import { rng } from "../../numeric/rng.ts";
import { checksum } from "./checksum.ts";
import { ggmlBuffers } from "./index.ts";

const random = rng(1);
const BYTES = Uint8Array.from({ length: 1000 }, () => random.integer(0, 255));

test("any changed byte, length or order of words gives another sum", () => {
  const own = checksum(BYTES);
  expect(checksum(BYTES.slice())).toBe(own);
  for (let i = 0; i < BYTES.length; i++) {
    const other = BYTES.slice();
    other[i]! ^= 1 << (i % 8);
    expect(checksum(other), `byte ${i}`).not.toBe(own);
  }
  for (const length of [0, 3, 4, 16, 995, 999]) expect(checksum(BYTES.subarray(0, length))).not.toBe(own);
  const turned = new Uint32Array(BYTES.slice().buffer).reverse();
  expect(checksum(new Uint8Array(turned.buffer))).not.toBe(own);
});

test("zeros in place of a page, and zeros that were appended, are seen", () => {
  for (const zeros of [1, 16, 512]) {
    const lost = BYTES.slice();
    lost.fill(0, 128, 128 + zeros);
    expect(checksum(lost)).not.toBe(checksum(BYTES));
    const longer = new Uint8Array(BYTES.length + zeros);
    longer.set(BYTES);
    expect(checksum(longer)).not.toBe(checksum(BYTES));
  }
});

test("bytes of memory that threads share have the sum of a copy", () => {
  const shared = new Uint8Array(new SharedArrayBuffer(24), 4, 19);
  shared.set(BYTES.subarray(0, 19));
  expect(checksum(shared)).toBe(checksum(BYTES.slice(0, 19)));
});

test("the program gives the sums of the TypeScript", () => {
  for (const length of [0, 20, 64, 192, 999, 1000]) {
    const there = ggmlBuffers(BYTES.length).output.subarray(0, length);
    there.set(BYTES.subarray(0, length));
    expect(checksum(there), `${length} bytes`).toBe(checksum(BYTES.subarray(0, length)));
  }
});
