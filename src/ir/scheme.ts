/** How one tensor is quantized. */
import { DTYPES, type DType, type DTypeRow } from "../numeric/dtypes.ts";
import { codeRange } from "../numeric/qparams.ts";

/** One scale for the whole tensor, one per index along the channel axis, or one per group of consecutive elements along the reduction axis. */
export type Granularity =
  | { readonly per: "tensor" }
  | { readonly per: "axis" }
  | { readonly per: "group"; readonly size: number };

/** Codebook formats that are not an affine grid (QLoRA, arXiv:2305.14314; FP4 of bitsandbytes). */
export type Codebook = "nf4" | "fp4";

/** How one tensor is stored: type of the codes, grid, and how many elements share a scale. */
export interface Scheme {
  /** Type of the stored codes. */
  readonly dtype: DType;
  /** Present when codes index a table instead of an affine grid. */
  readonly codebook?: Codebook;
  /** Zero point fixed at the middle of the grid. */
  readonly symmetric: boolean;
  readonly granularity: Granularity;
  /** One bit of the grid left unused, for CPUs whose 8-bit dot product saturates (onnxruntime#14642). */
  readonly reduceRange?: boolean;
  /** Smallest and largest code, where the grid is not what dtype and symmetry say: [-4, 3] is 3 bits, [-1, 1] ternary. */
  readonly codes?: readonly [number, number];
  /** Odd codes only: as many above zero as below, none at zero; stored as (code - 1) / 2. */
  readonly odd?: boolean;
}

/**
 * The grid that a value or a constant was trained or quantized on, read from a model that holds one. One scale and zero
 * point for all, or one per index of `axis`.
 */
export interface GivenGrid {
  readonly qparams: QParams;
  /** Smallest and largest code in use; the zero points are codes too. */
  readonly codes: readonly [number, number];
  /** All of the codes in use are odd. */
  readonly odd?: boolean;
  readonly axis?: number;
}

/** Smallest and largest code of a grid: what searches spread a range over and what every code is clipped to. */
export const codesOf = ({ dtype, symmetric, reduceRange, codes }: Scheme): readonly [number, number] =>
  codes ?? codeRange(DTYPES[dtype], symmetric, reduceRange);

/** Bits that tell the codes of a grid apart: 3 for eight of them, 2 for ternary ones. */
export function bitsOf(scheme: Scheme): number {
  const [low, high] = codesOf(scheme);
  const span = scheme.odd ? (high - low) / 2 : high - low;
  return scheme.codes === undefined ? DTYPES[scheme.dtype].bits : Math.ceil(Math.log2(span + 1));
}

/** Codes of so many bits and more lie close enough together: rounding to them moves no layer visibly. */
const ENOUGH_BITS = 8;

/** Whether roundings to this grid show, so that it pays to correct for them. */
export const isCoarse = (scheme: Scheme): boolean => bitsOf(scheme) < ENOUGH_BITS;

/** The type of the codes, its limits those of the grid. */
export function gridRow(scheme: Scheme): DTypeRow {
  const row = DTYPES[scheme.dtype];
  if (scheme.codes === undefined) return row;
  const [min, max] = scheme.codes;
  return { ...row, min, max };
}

/**
 * value ~ (code - zeroPoint) * scale. One entry per tensor, per index of `axis`, or per group in row-major order.
 */
export interface QParams {
  readonly scale: Float32Array;
  readonly zeroPoint: Int32Array;
}

/**
 * How the codes of an integer type stand for numbers, where the container says so beside the type (TFLite
 * QuantizationParameters). One scale and zero point for all, or one per index of `axis`; with `blocks` they lie in other
 * tensors and `qparams` is empty.
 */
export interface Quantization {
  readonly qparams: QParams;
  readonly axis?: number;
  /** Groups of `size` elements along the last axis; names of the tensors that hold their scales and zero points. */
  readonly blocks?: { readonly scales: string; readonly zeroPoints?: string; readonly size: number };
}
