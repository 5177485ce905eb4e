/**
 * The contract of a gradient rule: from a node and the gradients of its outputs to nodes that compute the gradients of
 * its inputs, in plain ONNX ops of operator set 16 and later.
 */
import type { AttributeInit } from "../ir/build.ts";
import type { Node } from "../ir/model.ts";
import type { DType } from "../numeric/dtypes.ts";

/** What a rule may ask and do while it writes the backward nodes of one node. */
export interface RuleContext {
  /** Gradient of the output at an index; has the shape and dtype of that output. Undefined where the loss does not need it. */
  gradient(output: number): string | undefined;
  /** True where somebody asks for the gradient of the input at an index; others may be left out. */
  wants(input: number): boolean;
  /** Name of the output at an index, which is added to the forward node when it was left out. */
  output(index: number): string;
  /** Element type of a value of the forward graph; an error that names the node where nothing tells it. */
  dtype(value: string): DType;
  /** Number of dimensions of a value of the forward graph; an error that names the node where nothing tells it. */
  rank(value: string): number;
  /** Shape of a value of the forward graph where every length is known. */
  shape(value: string): readonly number[] | undefined;
  /** Adds a node with one output and gives the name of that output. */
  emit(op: string, inputs: readonly string[], attributes?: Readonly<Record<string, AttributeInit>>): string;
  /** Adds a node with several outputs. */
  emitMany(
    op: string,
    inputs: readonly string[],
    outputs: number,
    attributes?: Readonly<Record<string, AttributeInit>>,
  ): readonly string[];
  /** Name of a constant int64 vector, or of an int64 scalar for a plain number. */
  ints(values: readonly number[] | number): string;
  /** Name of a constant scalar of a float dtype. */
  scalar(value: number, dtype: DType): string;
  /** Stops with an error of code "unsupported" that names the node. */
  refuse(why: string): never;
}

/**
 * Writes the backward nodes of `node` into the context. Gives the gradient of each input in order, each of the shape and
 * dtype of its input; undefined = no gradient flows to that input (indices, shapes, conditions, or not wanted).
 */
export type Rule = (node: Node, context: RuleContext) => readonly (string | undefined)[];

/** Gradient of the first output, for rules of ops with one: a rule is only called when some output has a gradient. */
export const incoming = (context: RuleContext): string =>
  context.gradient(0) ?? context.refuse("only its first output can have a gradient");

/** Rules by op of the default ONNX domain. */
export type Rules = Readonly<Record<string, Rule>>;
