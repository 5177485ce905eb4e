/**
 * The contract of a gradient rule: from a node and the gradients of its outputs to nodes that compute the gradients of
 * its inputs, in plain ONNX ops of operator set 16 and later.
 */
import type { Graph, Node } from "../ir/model.ts";
import type { Writer } from "./writer.ts";

/** What a rule may ask and do while it writes the backward nodes of one node. */
export interface RuleContext extends Writer {
  /** Gradient of the output at an index; has the shape and dtype of that output. Undefined where the loss does not need it. */
  gradient(output: number): string | undefined;
  /** True where somebody asks for the gradient of the input at an index; others may be left out. */
  wants(input: number): boolean;
  /** Name of the output at an index, which is added to the forward node when it was left out. */
  output(index: number): string;
  /** Values that sub-graphs of the node capture from around it and whose gradient somebody asks for. */
  captured(): readonly string[];
  /** A graph that runs a sub-graph of the node again and gives the gradients of `captured()` from those of the node's outputs. */
  backward(graph: Graph): Graph;
  /** Hands a gradient to a captured value, which is no input of the node. */
  flow(value: string, gradient: string): void;
}

/**
 * Writes the backward nodes of `node` into the context. Gives the gradient of each input in order, each of the shape and
 * dtype of its input; undefined = no gradient flows to that input (indices, shapes, conditions, or not wanted).
 */
export type Rule = (node: Node, context: RuleContext) => readonly (string | undefined)[];

/** Gradient of the first output, for rules of ops with one: a rule is only called when some output has a gradient. */
export const incoming = (context: RuleContext): string =>
  context.gradient(0) ?? context.refuse("only its first output can have a gradient");

/** Rules by op, the domain in front where it is not the default one ("fewbit.FakeQuantize"). */
export type Rules = Readonly<Record<string, Rule>>;
