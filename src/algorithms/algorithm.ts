/** The contract of algorithms: how float weights become codes. */
import type { Scheme } from "../ir/scheme.ts";

/** One weight, decoded. */
export interface Weights {
  readonly values: Float32Array;
  readonly shape: readonly number[];
  /** Axis of the output channels; groups run along the other axis of a matrix. */
  readonly axis: number;
  /** Type of the weight in the file, which is also that of the scales. */
  readonly dtype: "float32" | "float16";
}

/** What is stored for one weight. */
export interface Codes {
  /**
   * Groups: `[channels, groups, bytes of a group]`, packed low bits first (codebooks: high bits first, see
   * kernels/codebook.ts). Per axis or tensor: in the order of the weight, one byte per element, or packed low bits first.
   */
  readonly codes: Uint8Array;
  /** One per group (`[channels, groups]`), channel or tensor, exactly representable in the weight's type. */
  readonly scales: Float32Array;
  /** Packed like the codes of groups; absent when the scheme is symmetric and its zero is the middle of the grid. */
  readonly zeroPoints?: Uint8Array;
}

/** One way to turn weights into codes. */
export interface AlgorithmRow {
  readonly name: string;
  /** One line for people. */
  readonly summary: string;
  /** Throws `unsupported` for schemes the algorithm has no arithmetic for. */
  quantize(weights: Weights, scheme: Scheme): Codes;
}
