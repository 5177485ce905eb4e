/** Weights that `scripts/peers/golden-q4.py` makes too, bit for bit: integer draws, exact divisions, one rounding. */
import { readFileSync } from "node:fs";
import { decodeHalf, encodeHalf } from "../numeric/half.ts";
import type { Weights } from "./algorithm.ts";

export interface WeightSpec {
  readonly name: string;
  readonly kind: string;
  readonly k: number;
  readonly n: number;
  readonly seed: number;
  readonly dtype: "float32" | "float16";
}

/** dtype, dims, SHA-256. */
export type Digest = readonly [dtype: string, dims: readonly number[], sha256: string];

export interface Golden {
  readonly weights: readonly WeightSpec[];
  readonly nodes: Readonly<
    Record<string, { readonly inputs: readonly string[]; readonly attributes: Readonly<Record<string, number>> }>
  >;
  readonly nbits: readonly {
    readonly bits: 2 | 4 | 8;
    readonly block: number;
    readonly symmetric: boolean;
    readonly tensors: Readonly<Record<string, Digest>>;
  }[];
  readonly bnb4: readonly { readonly codebook: "nf4" | "fp4"; readonly tensors: Readonly<Record<string, Digest>> }[];
}

export const readGolden = (): Golden =>
  JSON.parse(readFileSync(new URL("../../tests/golden/q4.json", import.meta.url), "utf8"));

/** Signed 24-bit integers of xorshift32 (Marsaglia 2003). */
function drawsFrom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >> 8;
  };
}

type Draw = () => number;
const bell = (draw: Draw): number => (draw() + draw() + draw() + draw()) / 2 ** 25;

const KINDS: Readonly<Record<string, (draw: Draw, row: number, column: number) => number>> = {
  bell,
  uniform: (draw) => draw() / 2 ** 23,
  positive: (draw) => Math.abs(draw()) / 2 ** 23,
  constant: (_, __, column) => (column % 2 === 0 ? 0.25 : -0.25),
  ties: (draw) => (draw() >> 16) / 16,
  outliers: (draw, row, column) => bell(draw) * ((row * 7 + column) % 97 === 0 ? 64 : 1),
  zeros(draw, row, column) {
    const value = bell(draw);
    if ((row >> 5) % 2 === 1) return value;
    return (row + column) % 2 === 1 ? -0 : 0;
  },
  subnormal: (draw, row) => bell(draw) * 2 ** -(118 + ((row >> 4) % 32)),
};

/** The weight `[k, n]` of a spec; halves are rounded to half precision. */
export function goldenWeights({ kind, k, n, seed, dtype }: WeightSpec): Weights {
  const draw = drawsFrom(seed);
  const values = Float32Array.from({ length: k * n }, (_, i) => KINDS[kind]!(draw, Math.floor(i / n), i % n));
  return { values: dtype === "float16" ? decodeHalf(encodeHalf(values)) : values, shape: [k, n], axis: 1, dtype };
}
