import type { GradCase } from "../gradcheck.case.ts";
import { list, of, single } from "./builders.case.ts";

const softmaxes = (op: string): readonly GradCase[] =>
  [{}, { axis: 0 }, { axis: 1 }, { axis: -2 }].map((attributes) => single(op, { x: of([2, 3, 4]) }, { attributes }));

/** With the axes as an input. */
const reduceBy = (op: string, axes: readonly number[], keepdims: number, opsets: readonly number[]): GradCase =>
  single(
    op,
    { x: of([2, 3, 4]) },
    {
      attributes: { keepdims },
      more: ["axes"],
      tensors: list("axes", axes),
      label: `axes ${axes}, keepdims ${keepdims}`,
      opsets,
    },
  );

const reductions = (op: string, opsets: readonly number[]): readonly GradCase[] =>
  [0, 1].flatMap((keepdims) => [
    ...[[1], [0, 2], [-1], [-1, 0], []].map((axes) => reduceBy(op, axes, keepdims, opsets)),
    single(op, { x: of([2, 3, 4]) }, { attributes: { keepdims } }),
  ]);

const means17: readonly GradCase[] = [0, 1].flatMap((keepdims) =>
  [[1], [-1, 0]].map((axes) =>
    single("ReduceMean", { x: of([2, 3, 4]) }, { attributes: { keepdims, axes }, opsets: [17] }),
  ),
);
const layerNorm = (shape: readonly number[], scale: readonly number[], axis: number, bias = true): GradCase =>
  single(
    "LayerNormalization",
    { x: of(shape), s: of(scale), ...(bias && { b: of(scale) }) },
    { attributes: { axis, epsilon: 1e-3 } },
  );

const layerNorms: readonly GradCase[] = [
  layerNorm([3, 5], [5], -1),
  layerNorm([2, 3, 4], [4], 2, false),
  layerNorm([2, 3, 4], [3, 4], 1),
  layerNorm([2, 2, 3, 2], [3, 2], -2),
];

const batchNorm = (shape: readonly number[]): GradCase => {
  const channels = of([shape[1]!]);
  const inputs = { x: of(shape), s: channels, b: channels, m: channels, v: of([shape[1]!], "positive") };
  return single("BatchNormalization", inputs, { attributes: { epsilon: 1e-3 } });
};

export const reductionCases: readonly GradCase[] = [
  ...["Softmax", "LogSoftmax"].flatMap(softmaxes),
  ...reductions("ReduceSum", [17, 21]),
  ...reductions("ReduceMean", [18, 21]).filter(({ label }) => label.includes("axes")),
  single("ReduceMean", { x: of([2, 3]) }),
  single("ReduceSum", { x: of([2, 3]) }, { attributes: { keepdims: 0, noop_with_empty_axes: 1 } }),
  ...means17,
  ...layerNorms,
  ...[
    [4, 3],
    [2, 3, 4],
    [2, 3, 2, 3],
  ].map(batchNorm),
];
