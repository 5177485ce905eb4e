/**
 * 4-bit codebooks scaled by the largest magnitude of a block, the layout of MatMulBnb4 (ONNX Runtime's contrib
 * operators): blocks over the flattened `[n, k]` matrix, two codes a byte, the first in the high bits.
 */
import { reciprocalOf } from "./blocks.ts";
import type { Run } from "./runs.ts";

export interface CodeTable {
  /** What each code stands for in a block whose largest magnitude is 1. */
  readonly values: Float32Array;
  /** Largest value of each rank, ascending; the last is infinite. */
  readonly bounds: Float32Array;
  /** Code of each rank, smallest value first. */
  readonly codes: Uint8Array;
}

/** The float32 just below a positive bound's mirror image: magnitudes on a bound belong to the smaller code. */
function below(value: number): number {
  const word = new Float32Array([value]);
  new Int32Array(word.buffer)[0]! += 1;
  return word[0]!;
}

/** NormalFloat: quantiles of the normal distribution (QLoRA, arXiv:2305.14314, appendix E). */
const NF4_VALUES = [
  -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
  -0.09105003625154495, 0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
  0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1,
];

/** Bounds between neighbours as bitsandbytes and ONNX Runtime write them. */
const NF4_BOUNDS = [
  -0.8480964004993439,
  -0.6106329262256622,
  -0.4599952697753906,
  -0.33967943489551544,
  -0.23460740596055984,
  -0.13791173323988914,
  -0.045525018125772476,
  0.03979014977812767,
  0.1202552504837513,
  0.2035212516784668,
  0.2920137718319893,
  0.3893125355243683,
  0.5016634166240692,
  0.6427869200706482,
  0.8614784181118011,
  Number.POSITIVE_INFINITY,
];

/** Magnitudes of FP4 by code, as shares of 12: subnormal 0.0625, then 8, 12, 4, 6, 2, 3. */
const FP4_MAGNITUDES = [0, 5.208333333e-3, 0.66666667, 1, 0.33333333, 0.5, 0.16666667, 0.25];
const FP4_BOUNDS = [0.00260417, 0.0859375, 0.20833333, 0.29166667, 0.4166667, 0.583333, 0.8333333];
/** Codes of FP4 by rising magnitude. */
const FP4_ORDER = [0, 1, 6, 7, 4, 5, 2, 3];
const SIGN = 8;

const mirrored = FP4_BOUNDS.map((bound) => below(-Math.fround(bound))).reverse();

export const CODE_TABLES = {
  nf4: {
    values: Float32Array.from(NF4_VALUES),
    bounds: Float32Array.from(NF4_BOUNDS),
    codes: Uint8Array.from(NF4_VALUES.keys()),
  },
  fp4: {
    values: Float32Array.from([...FP4_MAGNITUDES, ...FP4_MAGNITUDES.map((value) => -value)]),
    bounds: Float32Array.from([...mirrored, below(-0), ...FP4_BOUNDS, Number.POSITIVE_INFINITY]),
    codes: Uint8Array.from([...FP4_ORDER.map((code) => code + SIGN).reverse(), ...FP4_ORDER]),
  },
} as const satisfies Record<string, CodeTable>;

/** Buckets of [-1, 1] narrow enough to hold one bound at most. */
const BUCKETS = 1024;

/** Rank at the lower edge of each bucket. */
function bucketRanks({ bounds }: CodeTable): Uint8Array {
  const edge = (i: number): number => (2 * i) / BUCKETS - 1 - 1e-12;
  return Uint8Array.from({ length: BUCKETS + 1 }, (_, i) => bounds.filter((bound) => edge(i) > bound).length);
}

const RANKS = new Map<CodeTable, Uint8Array>();

function ranksOf(table: CodeTable): Uint8Array {
  const ranks = RANKS.get(table) ?? bucketRanks(table);
  RANKS.set(table, ranks);
  return ranks;
}

/** Largest magnitude of every block of a run. */
export function blockMagnitudes({ words, length, count, at, stride }: Run, magnitudes: Float32Array): void {
  const out = new Int32Array(magnitudes.buffer, magnitudes.byteOffset, magnitudes.length);
  for (let i = 0, from = 0; i < count; i++, from += length) {
    let largest = 0;
    for (let j = from; j < from + length; j++) {
      const step = largest - (words[j]! & 0x7fffffff);
      largest -= step & (step >> 31);
    }
    out[at + i * stride] = largest;
  }
}

/** Code of a value scaled to [-1, 1]; what is not a number gets code 0, as from ONNX Runtime's comparisons. */
export function codebookCode(scaled: number, { bounds, codes }: CodeTable): number {
  if (Number.isNaN(scaled)) return 0;
  let rank = 0;
  while (scaled > bounds[rank]!) rank++;
  return codes[rank]!;
}

/** Code of a value in [-1, 1]: looks the rank up by bucket, then corrects it by the one bound the bucket may hold. */
const bucketCode = (scaled: number, bounds: Float32Array, codes: Uint8Array, ranks: Uint8Array): number => {
  const rank = ranks[((scaled + 1) * (BUCKETS / 2)) | 0]!;
  return codes[scaled > bounds[rank]! ? rank + 1 : rank]!;
};

/** Codes of every block of a run, two a byte. `magnitudes` are those of `blockMagnitudes`. */
export function encodeCodebook(run: Run, size: number, table: CodeTable, magnitudes: Float32Array, codes: Uint8Array) {
  const { values, length, count, stride } = run;
  const ranks = ranksOf(table);
  const { bounds, codes: byRank } = table;
  for (let i = 0, from = 0, block = run.at; i < count; i++, from += length, block += stride) {
    const reciprocal = reciprocalOf(magnitudes[block]!);
    const finite = Number.isFinite(reciprocal);
    for (let j = from, at = (block * size) / 2; j < from + length; j += 2, at++) {
      const high = Math.fround(values[j]! * reciprocal);
      const low = j + 1 < from + length ? Math.fround(values[j + 1]! * reciprocal) : 0;
      codes[at] = finite
        ? (bucketCode(high, bounds, byRank, ranks) << 4) | bucketCode(low, bounds, byRank, ranks)
        : (codebookCode(high, table) << 4) | codebookCode(low, table);
    }
  }
}

/** The values that `count` codes stand for. */
export function decodeCodebook(
  codes: Uint8Array,
  count: number,
  size: number,
  { values }: CodeTable,
  magnitudes: Float32Array,
): Float32Array {
  const out = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    const code = i % 2 === 0 ? codes[i >> 1]! >> 4 : codes[i >> 1]! & 15;
    out[i] = values[code]! * magnitudes[Math.floor(i / size)]!;
  }
  return out;
}
