/** The contract of a shape rule, and how rules read what an op is given. */
import { intAttribute, intsAttribute } from "../../ir/attributes.ts";
import type { Node } from "../../ir/model.ts";
import type { Known } from "../types.ts";
import { type Dims, fromFront } from "./lengths.ts";

/** Shapes of the outputs in order; undefined where nothing is known of one, or of all of them. */
export type ShapeRule = (inputs: readonly Known[], node: Node) => readonly (Dims | undefined)[] | undefined;

/** Shape rules by op of the default domain. */
export type ShapeRules = Readonly<Record<string, ShapeRule>>;

/** A rule for ops with one output from the shape of their first input. */
export const fromFirst =
  (shape: (dims: Dims, node: Node, inputs: readonly Known[]) => Dims | undefined): ShapeRule =>
  (inputs, node) => {
    const dims = inputs[0]?.dims;
    return dims && [shape(dims, node, inputs)];
  };

/** The same rule for several ops. */
export const rows = (ops: readonly string[], rule: ShapeRule): ShapeRules =>
  Object.fromEntries(ops.map((op) => [op, rule]));

/** Integers that are known when the graph is built: a constant, or computed from shapes that are declared. */
export function integers(known: Known | undefined): readonly number[] | undefined {
  const values = known?.values;
  return values?.every((value) => typeof value === "number") ? (values as readonly number[]) : undefined;
}

/** An attribute that later operator sets have as an input; undefined when neither is there, null when it is open. */
export function listed(
  node: Node,
  attribute: string,
  inputs: readonly Known[],
  at: number,
): readonly number[] | undefined | null {
  const list = intsAttribute(node, attribute);
  if (list !== undefined) return list;
  return (node.inputs[at] ?? "") === "" ? undefined : (integers(inputs[at]) ?? null);
}

/** The `axis` of a node, counted from the front. */
export const axisOf = (node: Node, rank: number, otherwise = 0): number =>
  fromFront(intAttribute(node, "axis", otherwise), rank);
