/** The checksum of checksum.ts over whole blocks of 16 words. AssemblyScript. */

const OFFSET: i32 = 0x811c9dc5;
const PRIME: i32 = 0x01000193;

// @inline
function mixed(sums: v128, words: v128): v128 {
  return i32x4.mul(v128.xor(sums, words), i32x4.splat(PRIME));
}

/** Writes the 16 sums of the words at `src` to `dst`; `bytes` is a multiple of 64. */
export function sumWords(src: usize, bytes: i32, dst: usize): void {
  let a = i32x4.splat(OFFSET);
  let b = a;
  let c = a;
  let d = a;
  for (const end = src + bytes; src < end; src += 64) {
    a = mixed(a, v128.load(src));
    b = mixed(b, v128.load(src, 16));
    c = mixed(c, v128.load(src, 32));
    d = mixed(d, v128.load(src, 48));
  }
  v128.store(dst, a);
  v128.store(dst, b, 16);
  v128.store(dst, c, 32);
  v128.store(dst, d, 48);
}
