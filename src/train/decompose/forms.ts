/** What several expansions are written with. */
import type { Node } from "../../ir/model.ts";
import type { DType } from "../../numeric/dtypes.ts";
import type { Writer } from "../writer.ts";

/** The input at an index; undefined where it is left out. */
export const given = (node: Node, index: number): string | undefined => node.inputs[index] || undefined;

/** Stops when one of these inputs is there; `why` says what it would need. */
export function refuseInputs(node: Node, writer: Writer, inputs: Readonly<Record<number, string>>): void {
  for (const [index, name] of Object.entries(inputs))
    if (given(node, Number(index)) !== undefined)
      writer.refuse(`its input ${name} can't be trained through; make the model without it`);
}

/** A float attribute as the engine reads it, in single precision. */
export const single = (writer: Writer, value: number, dtype: DType): string => writer.scalar(Math.fround(value), dtype);

/** `value` plus what is there of `others`. */
export const plus = ({ emit }: Writer, value: string, ...others: readonly (string | undefined)[]): string =>
  others.reduce<string>((sum, other) => (other === undefined ? sum : emit("Add", [sum, other])), value);

/** The last length of a value, or an error that says to declare it. */
export function lastLength(writer: Writer, value: string, what: string): number {
  const length = writer.dims(value)?.at(-1);
  return typeof length === "number" ? length : writer.refuse(`${what} is not known; declare the shape of its inputs`);
}

/** The length of an axis as an int64 scalar. */
export function lengthOf({ dims, emit, ints }: Writer, value: string, axis: number): string {
  const length = dims(value)?.[axis];
  return typeof length === "number" ? ints(length) : emit("Gather", [emit("Shape", [value]), ints(axis)]);
}

/** [batch, length, heads * size] as [batch, heads, length, size]. */
export const splitHeads = ({ emit, ints }: Writer, value: string, heads: number): string =>
  emit("Transpose", [emit("Reshape", [value, ints([0, 0, heads, -1])])], { perm: [0, 2, 1, 3] });

/** [batch, heads, length, size] as [batch, length, heads * size]. */
export const mergeHeads = ({ emit, ints }: Writer, value: string): string =>
  emit("Reshape", [emit("Transpose", [value], { perm: [0, 2, 1, 3] }), ints([0, 0, -1])]);
