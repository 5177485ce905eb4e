/** A sum that tells whether bytes are still what they were: against lost pages and torn writes, not against forgery. */

const OFFSET = 0x811c9dc5;
const PRIME = 0x01000193;

/** Signed 32-bit words, which are quicker than unsigned ones, of bytes that begin at a multiple of four; the last bytes are filled up with zeros. */
function words(bytes: Uint8Array): Int32Array {
  const whole = bytes.length & ~3;
  if (whole === bytes.length) return new Int32Array(bytes.buffer, bytes.byteOffset, whole / 4);
  const filled = new Uint8Array(whole + 4);
  filled.set(bytes);
  return new Int32Array(filled.buffer);
}

const mixed = (sum: number, word: number): number => Math.imul(sum ^ word, PRIME);

/**
 * FNV-1a (Fowler, Noll, Vo) over 32-bit words in four interleaved lanes, and over these and the length. `bytes` begin at a
 * multiple of four of their buffer, which may be shared. Faster than zlib's CRC.
 */
export function checksum(bytes: Uint8Array): number {
  const all = words(bytes);
  const rest = all.length & 3;
  let [a, b, c, d] = [OFFSET, OFFSET, OFFSET, OFFSET];
  for (let i = 0; i < all.length - rest; i += 4) {
    a = mixed(a, all[i]!);
    b = mixed(b, all[i + 1]!);
    c = mixed(c, all[i + 2]!);
    d = mixed(d, all[i + 3]!);
  }
  const tail = all.subarray(all.length - rest);
  return [b, c, d, ...tail, bytes.length].reduce(mixed, a) >>> 0;
}
