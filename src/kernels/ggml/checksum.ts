/** A sum that tells whether bytes are still what they were: against lost pages and torn writes, not against forgery. */
import { BYTES_AT, isInMachine, machine } from "./machine.ts";

const OFFSET = 0x811c9dc5;
const PRIME = 0x01000193;
const LANES = 16;
const BLOCK_BYTES = 4 * LANES;

const mixed = (sum: number, word: number): number => Math.imul(sum ^ word, PRIME);

/** The sums of the lanes over whole blocks; four lanes at once, since each product waits for the last of its lane. */
function lanesReference(blocks: Uint8Array): Int32Array {
  const words = new Int32Array(blocks.buffer, blocks.byteOffset, blocks.length / 4);
  const sums = new Int32Array(LANES);
  for (let lane = 0; lane < LANES; lane += 4) {
    let [a, b, c, d] = [OFFSET, OFFSET, OFFSET, OFFSET];
    for (let i = lane; i < words.length; i += LANES) {
      a = mixed(a, words[i]!);
      b = mixed(b, words[i + 1]!);
      c = mixed(c, words[i + 2]!);
      d = mixed(d, words[i + 3]!);
    }
    sums.set([a, b, c, d], lane);
  }
  return sums;
}

/** The same by the program, where the bytes lie in its memory. */
function lanes(blocks: Uint8Array): Int32Array {
  if (!isInMachine(blocks)) return lanesReference(blocks);
  const { program, bytes } = machine();
  program.sumWords(blocks.byteOffset, blocks.length, BYTES_AT);
  return new Int32Array(bytes.buffer, BYTES_AT, LANES);
}

/**
 * FNV-1a (Fowler, Noll, Vo) over 32-bit words in 16 interleaved lanes, then over these, the bytes that fill no lanes, and the
 * length. `bytes` begin at a multiple of four of their buffer. Quick for what lies in `ggmlBuffers`.
 */
export function checksum(bytes: Uint8Array): number {
  const whole = bytes.length - (bytes.length % BLOCK_BYTES);
  const sums = lanes(bytes.subarray(0, whole));
  return [...sums, ...bytes.subarray(whole), bytes.length].reduce(mixed, OFFSET) >>> 0;
}
