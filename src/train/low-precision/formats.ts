/** The grids that weights can be trained on: float32 master weights, codes of this many bits in every product. */
import type { DType } from "../../numeric/dtypes.ts";

/** How the codes of a weight follow from its values. Every output channel has a scale of its own. */
export interface WeightFormat {
  /** Smallest and largest code. */
  readonly codes: readonly [number, number];
  /** Type the codes are stored in. */
  readonly dtype: DType & ("int8" | "int4" | "int2");
  /** The scale is this magnitude of a channel, ... */
  readonly statistic: "max" | "mean";
  /** ... times this. */
  readonly factor: number;
}

/** Rounds to the step that has the least squared error on a normal distribution of this many codes (Max, 1960, for uniform steps). */
const MEAN_TO_STEP = { int4: 0.42, int3: 0.73, int2: 1.25 };

/** All formats by name. */
export const WEIGHT_FORMATS = {
  int8: { codes: [-127, 127], dtype: "int8", statistic: "max", factor: 1 / 127 },
  int4: { codes: [-8, 7], dtype: "int4", statistic: "mean", factor: MEAN_TO_STEP.int4 },
  int3: { codes: [-4, 3], dtype: "int4", statistic: "mean", factor: MEAN_TO_STEP.int3 },
  int2: { codes: [-2, 1], dtype: "int2", statistic: "mean", factor: MEAN_TO_STEP.int2 },
  /** BitNet b1.58 (Ma et al., arXiv:2402.17764), with a scale for each channel instead of one for all. */
  ternary: { codes: [-1, 1], dtype: "int2", statistic: "mean", factor: 1 },
} as const satisfies Readonly<Record<string, WeightFormat>>;

/** Name of a format. */
export type WeightFormatName = keyof typeof WEIGHT_FORMATS;

const same = ([a, b]: readonly [number, number], [c, d]: readonly [number, number]): boolean => a === c && b === d;

/** The format that has just these codes. */
export const formatWith = (codes: readonly [number, number]): WeightFormatName | undefined =>
  (Object.keys(WEIGHT_FORMATS) as WeightFormatName[]).find((name) => same(WEIGHT_FORMATS[name].codes, codes));

/** Smallest scale: keeps a channel of zeros from being divided by nothing. */
export const MIN_CHANNEL_SCALE = Math.fround(1e-30);

/** The scale of each index of `axis`, as the training graph computes it but for the order in which means are summed. */
export function channelScales(
  values: Float32Array,
  shape: readonly number[],
  axis: number,
  { statistic, factor }: WeightFormat,
): Float32Array {
  const channels = shape[axis]!;
  const inner = shape.slice(axis + 1).reduce((product, length) => product * length, 1);
  const [largest, sums] = [new Float32Array(channels), new Float64Array(channels)];
  for (let i = 0; i < values.length; i++) {
    const channel = Math.floor(i / inner) % channels;
    const size = Math.abs(values[i]!);
    sums[channel]! += size;
    if (size > largest[channel]!) largest[channel] = size;
  }
  const count = values.length / channels;
  const size = (channel: number) => (statistic === "max" ? largest[channel]! : Math.fround(sums[channel]! / count));
  return largest.map((_, channel) => Math.max(Math.fround(size(channel) * Math.fround(factor)), MIN_CHANNEL_SCALE));
}
