/** fewbit.StopGradient: hands its input on, and no gradient back. */
import { node as makeNode } from "../../ir/build.ts";
import type { Node } from "../../ir/model.ts";
import type { Expansion } from "../expand.ts";

/** A node that makes `to` of `from`. */
export const stopGradientNode = (from: string, to: string): Node =>
  makeNode("StopGradient", [from], [to], { name: to, domain: "fewbit" });

/** Nothing is left of it. */
export const stopGradient: Expansion = (node) => [node.inputs[0]];
