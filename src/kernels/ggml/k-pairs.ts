/** Two bits of each of 256 codes, as q2_k, q3_k and q6_k keep them. */
import { SUPER } from "./format.ts";

/** Byte l of a run of 32 holds codes l, l + 32, l + 64 and l + 96 of 128. */
export function packPairs(from: Uint8Array, y: Uint8Array, at: number): void {
  for (let j = 0; j < SUPER; j += 128)
    for (let l = j; l < j + 32; l++)
      y[at + j / 4 + l - j] = from[l]! | (from[l + 32]! << 2) | (from[l + 64]! << 4) | (from[l + 96]! << 6);
}

/** Two bits of each code, see `packPairs`. */
export function unpackPairs(y: Uint8Array, at: number, out: Uint8Array): void {
  for (let j = 0; j < SUPER; j += 128)
    for (let l = 0; l < 128; l++) out[j + l] = (y[at + j / 4 + (l & 31)]! >> (2 * (l >> 5))) & 3;
}
