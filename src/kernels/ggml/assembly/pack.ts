/** Codes of one block as bytes, and how they are put together. AssemblyScript. */

/** 256 codes. */
export const BYTES: usize = 4096;

/** Codes j and j + 16 of 32 share byte j. */
export function packBlock(codes: usize, to: usize): void {
  const mask = i8x16.splat(15);
  const low = v128.and(v128.load(codes), mask);
  v128.store(to, v128.or(low, i8x16.shl(v128.and(v128.load(codes, 16), mask), 4)));
}

/** Fifth bits of 32 codes. */
export function highBits(codes: usize): u32 {
  const low = i8x16.bitmask(i8x16.shl(v128.load(codes), 3));
  return <u32>low | ((<u32>i8x16.bitmask(i8x16.shl(v128.load(codes, 16), 3))) << 16);
}

/** Low nibbles of 256 codes: codes l and l + `apart` of each 2 * `apart` share a byte. */
export function packNibbles(to: usize, apart: usize): void {
  const mask = i8x16.splat(15);
  for (let j: usize = 0; j < 256; j += 2 * apart)
    for (let l: usize = 0; l < apart; l += 16, to += 16) {
      const low = v128.and(v128.load(BYTES + j + l), mask);
      const high = v128.and(v128.load(BYTES + j + l + apart), mask);
      v128.store(to, v128.or(low, i8x16.shl(high, 4)));
    }
}

/** Two bits of 256 codes, from bit `shift` on: codes l, l + 32, l + 64, l + 96 of 128 share a byte. */
export function packPairs(to: usize, shift: i32): void {
  const mask = i8x16.splat(3);
  for (let j: usize = BYTES; j < BYTES + 256; j += 128)
    for (let l: usize = j; l < j + 32; l += 16, to += 16) {
      const a = v128.and(i8x16.shr_u(v128.load(l), shift), mask);
      const b = v128.and(i8x16.shr_u(v128.load(l, 32), shift), mask);
      const c = v128.and(i8x16.shr_u(v128.load(l, 64), shift), mask);
      const d = i8x16.shr_u(v128.load(l, 96), shift);
      v128.store(to, v128.or(v128.or(a, i8x16.shl(b, 2)), v128.or(i8x16.shl(c, 4), i8x16.shl(d, 6))));
    }
}

/** Bit `shift` of 256 codes: codes l, l + 32, ... share byte l of 32. */
export function packBits(to: usize, shift: i32): void {
  const mask = i8x16.splat(1);
  for (let l: usize = 0; l < 32; l += 16) {
    let byte = i8x16.splat(0);
    for (let run = 0; run < 8; run++) {
      const bit = v128.and(i8x16.shr_u(v128.load(BYTES + <usize>(run << 5) + l), shift), mask);
      byte = v128.or(byte, i8x16.shl(bit, run));
    }
    v128.store(to + l, byte);
  }
}
