/** Checks of losses over class labels. */
import { intTensor, node, tensor } from "../../ir/build.ts";
import { constant, type GradCase } from "../gradcheck.case.ts";
import { type Attributes, of } from "./builders.case.ts";

interface LabelOptions {
  readonly shape: readonly number[];
  readonly labels: readonly number[];
  readonly attributes?: Attributes;
  readonly weighted?: boolean;
  readonly int32?: boolean;
}

const loss = (
  op: string,
  { shape, labels, attributes = {}, weighted = false, int32 = false }: LabelOptions,
): GradCase => ({
  op,
  label: `[${shape}] at ${labels} ${Object.entries(attributes)}${weighted ? " weighted" : ""}`,
  inputs: { x: of(shape) },
  precision: "float32",
  nodes: () => [node(op, ["x", "labels", ...(weighted ? ["classes"] : [])], ["y"], { attributes })],
  tensors: (precision) => {
    const lengths = [shape[0]!, ...shape.slice(2)];
    return [
      int32 ? tensor("labels", "int32", lengths, Int32Array.from(labels)) : intTensor("labels", labels, lengths),
      ...(weighted ? [constant("classes", [3], [0.5, 2, 1.5], precision)] : []),
    ];
  },
  opsets: [16, 21],
});

/** Both outputs are used. */
const withProbabilities: GradCase = {
  ...loss("SoftmaxCrossEntropyLoss", { shape: [4, 3], labels: [0, 2, 1, 1] }),
  label: "with its second output",
  nodes: () => [
    node("SoftmaxCrossEntropyLoss", ["x", "labels"], ["mean", "logs"]),
    node("Exp", ["logs"], ["probabilities"]),
    node("Mul", ["mean", "probabilities"], ["y"]),
  ],
};

const image = { shape: [2, 3, 2, 2], labels: [0, 2, 1, 1, 0, 0, 2, 1] };

const cases = (op: string): readonly GradCase[] => [
  ...["none", "sum", "mean"].flatMap((reduction) => [
    loss(op, { shape: [4, 3], labels: [0, 2, 1, 1], attributes: { reduction } }),
    loss(op, { ...image, attributes: { reduction }, weighted: true }),
    loss(op, { ...image, attributes: { reduction, ignore_index: 1 }, weighted: true }),
    loss(op, { shape: [4, 3], labels: [0, -1, -1, 1], attributes: { reduction, ignore_index: -1 } }),
  ]),
  loss(op, { shape: [4, 3], labels: [0, 2, 1, 1], int32: true }),
];

export const labelCases: readonly GradCase[] = [
  ...["SoftmaxCrossEntropyLoss", "NegativeLogLikelihoodLoss"].flatMap(cases),
  withProbabilities,
];
