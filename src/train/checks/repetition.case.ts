/** Checks of ops that repeat, split, pad or accumulate elements. */
import { intTensor, node } from "../../ir/build.ts";
import { constant, type GradCase } from "../gradcheck.case.ts";
import { type Attributes, list, of, single } from "./builders.case.ts";

const by = (op: string, x: readonly number[], values: readonly number[]): GradCase =>
  single(op, { x: of(x) }, { more: ["list"], tensors: list("list", values), label: `[${x}] by ${values}` });

const pad = (pads: readonly number[], mode: string, opsets: readonly number[] = [16, 17, 18, 21]): GradCase =>
  single(
    "Pad",
    { x: of([3, 4]) },
    { attributes: { mode }, more: ["pads"], tensors: list("pads", pads), label: `${mode} ${pads}`, opsets },
  );

const pads: readonly GradCase[] = [
  ...[
    [1, 0, 2, 3],
    [0, 0, 0, 0],
    [-1, 2, 1, -2],
  ].map((values) => pad(values, "constant")),
  ...["reflect", "edge"].flatMap((mode) => [pad([1, 0, 2, 3], mode), pad([0, 3, 0, 1], mode)]),
  pad([1, 0, 2, 3], "wrap", [19, 21]),
  {
    ...single("Pad", { x: of([3, 4]), fill: of([]) }),
    label: "a trained fill of one axis",
    nodes: () => [node("Pad", ["x", "pads", "fill", "axes"], ["y"])],
    tensors: () => [intTensor("pads", [1, 2]), intTensor("axes", [-1])],
    opsets: [18, 21],
  },
];

/** The second of three parts is not used. */
const split = (
  label: string,
  attributes: Attributes,
  sizes: readonly number[],
  opsets: readonly number[],
): GradCase => ({
  op: "Split",
  label,
  inputs: { x: of([6, 2]) },
  nodes: () => [
    node("Split", sizes.length === 0 ? ["x"] : ["x", "sizes"], ["a", "b", "c"], { attributes }),
    node("Exp", ["a"], ["e"]),
    node("Concat", ["c", "e"], ["y"], { attributes: { axis: 0 } }),
  ],
  tensors: list("sizes", sizes),
  opsets,
});

const cumSums: readonly GradCase[] = [0, 1].flatMap((exclusive) =>
  [0, 1].flatMap((reverse) =>
    [0, -1].map((axis) =>
      single(
        "CumSum",
        { x: of([3, 4]) },
        {
          attributes: { exclusive, reverse },
          more: ["axis"],
          tensors: () => [intTensor("axis", [axis], [])],
          label: `axis ${axis}, exclusive ${exclusive}, reverse ${reverse}`,
        },
      ),
    ),
  ),
);

const trilus: readonly GradCase[] = [-1, 0, 2].flatMap((k) =>
  [0, 1].map((upper) =>
    single(
      "Trilu",
      { x: of([2, 3, 4]) },
      {
        attributes: { upper },
        more: ["k"],
        tensors: () => [intTensor("k", [k], [])],
        label: `k ${k}, upper ${upper}`,
      },
    ),
  ),
);

const rangeNode = node("Range", ["start", "limit", "delta"], ["y"]);

const reversed: GradCase = single(
  "ReverseSequence",
  { x: of([4, 3]) },
  { attributes: { batch_axis: 1, time_axis: 0 }, more: ["lengths"], tensors: list("lengths", [4, 2, 1]) },
);

const range: GradCase = {
  op: "Range",
  label: "trained start and step",
  inputs: { start: of([], "unit"), delta: of([], "large") },
  nodes: () => [node("Mul", ["delta", "count"], ["far"]), node("Add", ["start", "far"], ["limit"]), rangeNode],
  tensors: (precision) => [constant("count", [], [3.5], precision)],
};

export const repetitionCases: readonly GradCase[] = [
  ...[by("Expand", [3, 1], [2, 1, 4]), by("Expand", [3, 1], [1]), by("Expand", [], [2, 2])],
  ...[by("Tile", [2, 3], [2, 3]), by("Tile", [2, 3], [1, 1]), by("Tile", [4], [3]), by("Tile", [2, 1, 2], [1, 3, 2])],
  ...pads,
  split("equal parts", {}, [], [16, 17]),
  split("a number of parts", { num_outputs: 3 }, [], [18, 21]),
  split("parts of given lengths", { axis: -2 }, [1, 2, 3], [16, 18, 21]),
  ...cumSums,
  ...trilus,
  reversed,
  ...["DCR", "CRD"].map((mode) =>
    single("DepthToSpace", { x: of([2, 12, 2, 3]) }, { attributes: { blocksize: 2, mode } }),
  ),
  single("SpaceToDepth", { x: of([2, 3, 4, 6]) }, { attributes: { blocksize: 2 } }),
  range,
];
