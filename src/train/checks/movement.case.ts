import { intTensor, node } from "../../ir/build.ts";
import type { GradCase } from "../gradcheck.case.ts";
import { type Attributes, list, of, single } from "./builders.case.ts";

const withList = (
  op: string,
  shape: readonly number[],
  values: readonly number[],
  attributes: Attributes = {},
): GradCase =>
  single(
    op,
    { x: of(shape) },
    { attributes, more: ["list"], tensors: list("list", values), label: `[${shape}] by ${values}` },
  );

const concats: readonly GradCase[] = [
  single("Concat", { a: of([2, 3]), b: of([2, 1]), c: of([2, 4]) }, { attributes: { axis: 1 } }),
  single("Concat", { a: of([1, 3]), b: of([2, 3]) }, { attributes: { axis: -2 } }),
  {
    ...single("Concat", { a: of([2, 3]) }),
    label: "one value twice",
    nodes: () => [node("Concat", ["a", "a"], ["y"], { attributes: { axis: 0 } })],
  },
];

const slice = (
  starts: readonly number[],
  ends: readonly number[],
  axes: readonly number[],
  steps: readonly number[],
): GradCase =>
  single(
    "Slice",
    { x: of([4, 5]) },
    {
      more: ["starts", "ends", "axes", "steps"],
      tensors: () => [
        intTensor("starts", starts),
        intTensor("ends", ends),
        intTensor("axes", axes),
        intTensor("steps", steps),
      ],
      label: `${starts} to ${ends}, axes ${axes}, steps ${steps}`,
    },
  );

export const movementCases: readonly GradCase[] = [
  ...[withList("Reshape", [2, 6], [3, -1]), withList("Reshape", [2, 6], [0, 2, 3]), withList("Reshape", [1], [])],
  ...[0, 1, -1, 3].map((axis) => single("Flatten", { x: of([2, 3, 4]) }, { attributes: { axis } })),
  ...[
    withList("Squeeze", [1, 3, 1], [0]),
    withList("Squeeze", [1, 3, 1], [-1, 0]),
    withList("Unsqueeze", [2, 3], [1, -1]),
  ],
  ...[{}, { perm: [2, 0, 1] }, { perm: [0, 2, 1] }].map((attributes) =>
    single("Transpose", { x: of([2, 3, 4]) }, { attributes }),
  ),
  ...concats,
  ...[slice([1], [3], [0], [1]), slice([-1, 0], [-5, 5], [0, 1], [-2, 2]), slice([2], [99], [-1], [1])],
  ...[slice([-3, 1], [-1, 4], [-1, 0], [1, 1]), slice([9], [99], [0], [1]), slice([0, 3], [9, 1], [0, 1], [1, 1])],
];
