/** ReLU and Clip in front of a QuantizeLinear: the grid clamps by itself, and the engine fuses only without them. */
import { floatAttribute } from "../ir/attributes.ts";
import type { Node } from "../ir/model.ts";
import { readAll } from "../ir/source.ts";
import { decodeFloats } from "../numeric/convert.ts";
import type { FindConstant } from "./values.ts";

/** Operator set from which on bounds of Clip are inputs. */
export const BOUNDS_ARE_INPUTS = 11;

/** Bounds of an output; either may be infinite. */
export interface Bounds {
  readonly min: number;
  readonly max: number;
}

/** A bound: attribute before opset 11, input since; absent = none; undefined when it is computed at run time. */
async function bound(
  node: Node,
  input: number,
  attribute: string,
  none: number,
  constant: FindConstant,
): Promise<number | undefined> {
  const name = node.inputs[input] ?? "";
  if (name === "") return floatAttribute(node, attribute, none);
  const tensor = constant(name);
  if (tensor === undefined || tensor.data.size > 8) return undefined;
  return decodeFloats(await readAll(tensor.data), tensor.dtype)[0];
}

/**
 * Bounds a Relu or Clip gives its output, so that a QuantizeLinear whose range lies inside them does the same; undefined
 * for other nodes and for bounds that are no constants. A grid that starts at `min` or above and ends at `max` or below
 * makes the node superfluous.
 */
export async function removableActivation(node: Node, constant: FindConstant): Promise<Bounds | undefined> {
  if (node.domain !== "") return undefined;
  if (node.op === "Relu") return { min: 0, max: Number.POSITIVE_INFINITY };
  if (node.op !== "Clip") return undefined;
  const min = await bound(node, 1, "min", Number.NEGATIVE_INFINITY, constant);
  const max = await bound(node, 2, "max", Number.POSITIVE_INFINITY, constant);
  return min === undefined || max === undefined || Number.isNaN(min) || Number.isNaN(max) ? undefined : { min, max };
}
