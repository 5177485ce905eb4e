/** The equation of an Einsum (ONNX operator specification; numpy.einsum). */

import { stringAttribute } from "../ir/attributes.ts";
import type { Node } from "../ir/model.ts";

/** Stands for "...", the axes without a letter. */
export const REST = ".";

/** One letter for each axis. */
export type Term = readonly string[];

/** What is read of each operand, and what is written. */
export interface Equation {
  readonly operands: readonly Term[];
  readonly output: Term;
}

/** Without an arrow the output has the letters that come once, in alphabetical order, behind the axes without one. */
function implicitOutput(operands: readonly Term[]): Term {
  const letters = operands.flat();
  const once = letters.filter((letter) => letter !== REST && letters.indexOf(letter) === letters.lastIndexOf(letter));
  return [...(letters.includes(REST) ? [REST] : []), ...once.toSorted()];
}

/** The terms of an Einsum node. */
export function equationOf(node: Node): Equation {
  const [left = "", right] = stringAttribute(node, "equation", "")
    .replaceAll(" ", "")
    .replaceAll("...", REST)
    .split("->");
  const operands = left.split(",").map((term) => [...term]);
  return { operands, output: right === undefined ? implicitOutput(operands) : [...right] };
}

/** The text of an equation. */
export const equationText = ({ operands, output }: Equation): string =>
  `${operands.map((term) => term.join("")).join(",")}->${output.join("")}`.replaceAll(REST, "...");
