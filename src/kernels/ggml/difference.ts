/** How far decoded values are from those that were encoded. */
import type { ErrorSums } from "../../numeric/metrics.ts";
import type { GgmlFormat } from "./format.ts";
import { BYTES_AT, CHUNK, hasGgmlWasm, machine } from "./machine.ts";

/** Squares of values, and of the errors that encoding made of them. */
export type Noise = Pick<ErrorSums, "signal" | "noise">;

/** The longest piece of values that is compared at once. */
export const MOST_COMPARED = CHUNK;

/** Sums in float64, of even places and of odd places first. */
export function differenceReference(values: Float32Array, back: Float32Array): Noise {
  const [signal, noise] = [new Float64Array(2), new Float64Array(2)];
  for (let i = 0; i < back.length; i++) {
    const value = values[i]!;
    const error = back[i]! - value;
    signal[i % 2]! += value * value;
    noise[i % 2]! += error * error;
  }
  return { signal: signal[0]! + signal[1]!, noise: noise[0]! + noise[1]! };
}

function differenceInPlace(values: Float32Array, back: Float32Array): Noise {
  const { program, bytes } = machine();
  program.sumDifferences(values.byteOffset, back.byteOffset, back.length, BYTES_AT);
  const [even, odd, noiseEven, noiseOdd] = new Float64Array(bytes.buffer, BYTES_AT, 4);
  return { signal: even! + odd!, noise: noiseEven! + noiseOdd! };
}

/**
 * Decodes the blocks of the first `count` values, at most `MOST_COMPARED`, and compares. Quick for what lies in `ggmlBuffers`.
 */
export function difference(format: GgmlFormat, values: Float32Array, blocks: Uint8Array, count: number): Noise {
  const isInPlace = hasGgmlWasm() && values.buffer === machine().values.buffer && count % 2 === 0;
  const back = isInPlace ? machine().values.subarray(0, count) : new Float32Array(count);
  format.decode(blocks.subarray(0, (count / format.block) * format.bytes), back);
  return isInPlace ? differenceInPlace(values, back) : differenceReference(values, back);
}
