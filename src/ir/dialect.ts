/**
 * The op table of a container with a graph. Shared code asks the row of an op, never the op's name; an op without a row
 * is one that quantization does not know and leaves alone.
 */
import type { DType } from "../numeric/dtypes.ts";
import type { Affine } from "../numeric/qparams.ts";
import type { Node } from "./model.ts";
import type { Form } from "./plan.ts";

/** A constant input that can be stored as codes. Axes are of that input and never negative. */
export interface WeightInput {
  /** Index in `node.inputs`. */
  readonly input: number;
  /** Index of the bias that is added to the products of this weight, where the op has one. */
  readonly bias?: number;
  /** Index of the input whose values this weight multiplies; absent for tables that are only looked up. */
  readonly by?: number;
  /** Axis of the output channels. */
  axis(node: Node, rank: number): number;
  /** Axis that is summed over: groups of codes run along it. */
  reduction(node: Node, rank: number): number;
  /** Axes in front of the matrix count matrices of a stack, each with channels of its own. */
  readonly stacked?: true;
}

/**
 * What an op does in a static integer graph:
 * - `compute`: products with int32 sums; runs in integers. `floatOutput`: also when its output gets no codes.
 * - `elementwise`: runs in integers, output with a range of its own, every data input quantized, constants too.
 * - `same-scale`: moves or picks elements; runs on the codes when all data in- and outputs share scale and zero point.
 * - `common-scale`: the same of several inputs, which all take on the range of the output.
 * - `clamp`: limits the range; free when the range of the QuantizeLinear behind it does the same, and then left out.
 * - `float`: the engine has no integer kernel for it; quantizing around it only costs time and accuracy.
 */
export type Static =
  | { readonly as: "compute"; readonly floatOutput: boolean }
  | { readonly as: "elementwise" }
  | { readonly as: "same-scale" }
  | { readonly as: "common-scale" }
  | { readonly as: "clamp" }
  | { readonly as: "float" };

/** Indices of inputs or outputs, or all of them. */
export type Slots = readonly number[] | "all";

/** What quantization knows of one op. */
export interface OpRow {
  /** Inputs that can be weights; empty for ops without any. */
  readonly weights: readonly WeightInput[];
  /** Inputs that carry values to quantize: not shapes, indices, conditions, weights' biases. */
  readonly data: Slots;
  /** Outputs that carry such values. */
  readonly outputs: Slots;
  /** What the op does in a static graph; may depend on attributes. */
  static(node: Node): Static;
  /** In chains: constants of one number may stand beside values, for such are exact on a grid of their own. */
  readonly numbers?: true;
  /** Range of the output that is known from the op alone. */
  readonly range?: readonly [number, number];
  /** Grid that the output must have, by the type of its codes. */
  readonly fixed?: Readonly<Partial<Record<DType, Affine>>>;
  /** Types of activations' codes that there are kernels for; any without. */
  readonly codes?: readonly DType[];
  /** Types of weights' codes that a kernel with float activations takes (TFLite: dynamic range). */
  readonly hybrid?: readonly DType[];
  /** Sizes of blocks, each with a scale of its own, that such a kernel takes int4 weights in. */
  readonly blocks?: readonly number[];
}

/** The ops of one container. */
export interface Dialect {
  /** The form of nodes in a static integer graph. */
  readonly staticForm: Form;
  /**
   * Which ops run in integers. `chains`: those between products, as each border costs a conversion, and none with
   * constant operands but `numbers`. `whole`: all whose inputs are in integers, constants get codes too.
   */
  readonly integers: "chains" | "whole";
  /** Row of a node's op, by domain and name; undefined for any other string. */
  row(node: Pick<Node, "op" | "domain">): OpRow | undefined;
  /** Two runs on the same inputs give the same outputs, and nothing else happens. */
  deterministic(node: Node): boolean;
}

/** What the dialect knows of the weight at one input of a node; undefined where there is none. */
export const weightAt = (dialect: Dialect, node: Node, input: number | undefined): WeightInput | undefined =>
  dialect.row(node)?.weights.find((weight) => weight.input === input);

/** The names `slots` stands for, omitted ("") ones left out. */
export const slotNames = (slots: Slots, names: readonly string[]): readonly string[] =>
  (slots === "all" ? names : slots.map((slot) => names[slot] ?? "")).filter((name) => name !== "");
