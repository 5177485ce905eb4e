/** Characters to train on, drawn when they are asked for: as many as wanted, in no memory. */
import type { TrainingData } from "../../containers/training-data.ts";
import { drawCharacters, SIDE } from "./draw.ts";

/**
 * Inputs `image` and `labels` of `length` characters. Character number i has the seed `first` + i, so data whose seeds are
 * apart share nothing.
 */
export const drawnData = (first: number, length: number): TrainingData => ({
  length,
  async rows(indices) {
    const pixels = new Float32Array(indices.length * SIDE * SIDE);
    const labels = new BigInt64Array(indices.length);
    for (const [at, index] of indices.entries()) {
      const drawn = drawCharacters({ seed: first + index, count: 1 });
      pixels.set(drawn.images.data as Float32Array, at * SIDE * SIDE);
      labels[at] = BigInt(drawn.labels[0]!);
    }
    return {
      image: { dtype: "float32", shape: [indices.length, 1, SIDE, SIDE], data: pixels },
      labels: { dtype: "int64", shape: [indices.length], data: labels },
    };
  },
});
