/** Integers that say how long axes are, followed from Shape nodes and constants to where a Reshape or Expand reads them. */
import { intAttribute, tensorAttribute } from "../../ir/attributes.ts";
import type { Dim, Node, Tensor } from "../../ir/model.ts";
import { typedView } from "../../numeric/convert.ts";
import { elementCount } from "../../numeric/dtypes.ts";
import type { Known } from "../types.ts";
import { type Dims, fromFront, product, quotient } from "./lengths.ts";
import { integers, listed } from "./shape-rule.ts";

/** Shapes have as many entries as a value has axes; the engine allows no more. */
const MAX_VALUES = 64;

/** The elements of a small integer constant, in memory. */
export function valuesOf({ dtype, shape, data }: Tensor): Dims | undefined {
  if ((dtype !== "int64" && dtype !== "int32") || data.bytes === undefined) return undefined;
  return elementCount(shape) > MAX_VALUES ? undefined : Array.from(typedView(data.bytes, dtype), Number);
}

type ValueRule = (inputs: readonly Known[], node: Node) => Dims | undefined;

const kept: ValueRule = ([x]) => x?.values;

const shape: ValueRule = ([x], node) => {
  const dims = x?.dims;
  if (dims === undefined) return undefined;
  const end = intAttribute(node, "end", dims.length);
  return dims.slice(intAttribute(node, "start", 0), end);
};

const concat: ValueRule = (inputs) =>
  inputs.every(({ values }) => values !== undefined) ? inputs.flatMap(({ values }) => values!) : undefined;

const gather: ValueRule = ([data, indices]) => {
  const [values, at] = [data?.values, integers(indices)];
  if (values === undefined) return undefined;
  return at?.map((index) => values[fromFront(index, values.length)] ?? null);
};

const slice: ValueRule = (inputs, node) => {
  const [from, to, steps] = [integers(inputs[1]), integers(inputs[2]), listed(node, "steps", inputs, 4)];
  if (from === undefined || to === undefined || (steps !== undefined && steps?.[0] !== 1)) return undefined;
  return inputs[0]?.values?.slice(from[0], to[0]);
};

/** Element by element; a single one is repeated. */
const pairwise =
  (combine: (a: Dim, b: Dim) => Dim): ValueRule =>
  ([a, b]) => {
    const [left, right] = [a?.values, b?.values];
    if (left === undefined || right === undefined) return undefined;
    const count = Math.max(left.length, right.length);
    const at = (values: Dims, index: number) => values[values.length === 1 ? 0 : index] ?? null;
    return Array.from({ length: count }, (_, index) => combine(at(left, index), at(right, index)));
  };

const numbers =
  (combine: (a: number, b: number) => number) =>
  (a: Dim, b: Dim): Dim =>
    typeof a === "number" && typeof b === "number" ? combine(a, b) : null;

const VALUES: ReadonlyMap<string, ValueRule> = new Map<string, ValueRule>([
  ...["Cast", "Identity", "Squeeze", "Unsqueeze", "Reshape"].map((op) => [op, kept] as const),
  ["Shape", shape],
  ["Size", ([x]) => x?.dims && [product(x.dims)]],
  ["Concat", concat],
  ["Gather", gather],
  ["Slice", slice],
  ["Add", pairwise(numbers((a, b) => a + b))],
  ["Sub", pairwise(numbers((a, b) => a - b))],
  ["Mul", pairwise((a, b) => product([a, b]))],
  ["Div", pairwise(quotient)],
  [
    "Constant",
    (_, node) => {
      const tensor = tensorAttribute(node, "value");
      return tensor && valuesOf(tensor);
    },
  ],
]);

const INTEGERS: ReadonlySet<string | undefined> = new Set(["int64", "int32", undefined]);

/** What is known of the elements of an integer output of at most one axis. */
export function inferValues(node: Node, dtype: string | undefined, inputs: readonly Known[]): Dims | undefined {
  if (!INTEGERS.has(dtype) || inputs.some(({ values, rank }) => values !== undefined && rank !== 0 && rank !== 1))
    return undefined;
  const values = VALUES.get(node.op)?.(inputs, node);
  return values === undefined || values.length > MAX_VALUES ? undefined : values;
}
