/** Checks of reductions whose gradient depends on the elements. */
import { node } from "../../ir/build.ts";
import { constant, type GradCase, type Values } from "../gradcheck.case.ts";
import { list, type Options, of, single } from "./builders.case.ts";

const SHAPE = [2, 3, 4];

/** With the axes as an input from operator set 18 on, as an attribute before. */
function reductions(op: string, values: Values, options: Options = {}): readonly GradCase[] {
  const x = of(SHAPE, values);
  return [0, 1].flatMap((keepdims) => [
    ...[[1], [0, 2], [-1]].flatMap((axes) => [
      single(op, { x }, { ...options, attributes: { keepdims, axes }, opsets: [16, 17] }),
      single(
        op,
        { x },
        {
          ...{ ...options, attributes: { keepdims }, more: ["axes"], tensors: list("axes", axes), opsets: [18, 21] },
          label: `axes ${axes}, keepdims ${keepdims}`,
        },
      ),
    ]),
    single(op, { x }, { ...options, attributes: { keepdims }, opsets: [16, 21] }),
  ]);
}

/** Without axes nothing is reduced. */
const untouched = (op: string, values: Values, options: Options = {}): GradCase =>
  single(
    op,
    { x: of(SHAPE, values) },
    { ...options, attributes: { keepdims: 0, noop_with_empty_axes: 1 }, opsets: [21] },
  );

/** Rows with no zero, with one and with two. */
const zeros: GradCase = {
  op: "ReduceProd",
  label: "with zeros",
  inputs: { x: of([3, 3]) },
  precision: "float32",
  nodes: () => [
    node("Mul", ["x", "mask"], ["masked"]),
    node("ReduceProd", ["masked"], ["y"], { attributes: { keepdims: 0, axes: [1] } }),
  ],
  tensors: (precision) => [constant("mask", [3, 3], [1, 1, 1, 1, 0, 1, 0, 1, 0], precision)],
  opsets: [17],
};

const single32: Options = { precision: "float32" };

export const nonlinearReductionCases: readonly GradCase[] = [
  ...["ReduceMax", "ReduceMin"].flatMap((op) => [...reductions(op, "separate"), untouched(op, "separate")]),
  ...["ReduceSumSquare", "ReduceLogSumExp"].flatMap((op) => reductions(op, "normal")),
  ...reductions("ReduceL1", "separate", single32),
  ...["ReduceL2", "ReduceProd"].flatMap((op) => reductions(op, "large", single32)),
  ...reductions("ReduceLogSum", "positive", single32),
  zeros,
];
