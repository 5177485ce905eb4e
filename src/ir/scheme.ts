/** How one tensor is quantized. */
import type { DType } from "../numeric/dtypes.ts";

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
}

/**
 * value ~ (code - zeroPoint) * scale. One entry per tensor, per index of `axis`, or per group in row-major order.
 */
export interface QParams {
  readonly scale: Float32Array;
  readonly zeroPoint: Int32Array;
}
