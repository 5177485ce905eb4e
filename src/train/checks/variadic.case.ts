/** Checks of ops of any number of inputs that are broadcast, and Where. */

import { ELEMENT_TYPES } from "../../containers/onnx/dtypes.ts";
import { intTensor, node } from "../../ir/build.ts";
import type { GradCase } from "../gradcheck.case.ts";
import { type Options, of, single } from "./builders.case.ts";
import { PAIRS } from "./elementwise.case.ts";

const variadic = (op: string, options: Options = {}): readonly GradCase[] => [
  ...PAIRS.map(([a, b]) => single(op, { a: of(a), b: of(b) }, options)),
  single(op, { a: of([2, 3]) }, options),
  single(op, { a: of([2, 1]), b: of([3]), c: of([2, 2, 1]) }, options),
  { ...single(op, { a: of([3]) }, options), label: "one value twice", nodes: () => [node(op, ["a", "a"], ["y"])] },
];

/** Both inputs hold the same numbers in another order, so that some are equal at the same place. */
const ties = (op: string): GradCase => ({
  ...single(op, { a: of([6, 5], "separate"), b: of([6, 5], "separate") }),
  label: "with ties",
});

const where = (condition: readonly number[], a: readonly number[], b: readonly number[]): GradCase => ({
  op: "Where",
  label: `[${condition}] of [${a}] or [${b}]`,
  inputs: { a: of(a), b: of(b) },
  nodes: () => [
    node("Cast", ["numbers"], ["mask"], { attributes: { to: ELEMENT_TYPES.bool.code } }),
    node("Where", ["mask", "a", "b"], ["y"]),
  ],
  tensors: () => {
    const count = condition.reduce((product, length) => product * length, 1);
    return [
      intTensor(
        "numbers",
        Array.from({ length: count }, (_, index) => index % 2),
        condition,
      ),
    ];
  },
  opsets: [16, 21],
});

export const variadicCases: readonly GradCase[] = [
  ...["Sum", "Max", "Min"].flatMap((op) => variadic(op)),
  ...variadic("Mean", { precision: "float32" }),
  ...["Max", "Min"].map(ties),
  where([2, 3], [2, 3], [2, 3]),
  where([3], [2, 1], [3]),
  where([2, 2, 1], [], [3]),
  where([], [2], [2, 2]),
];
