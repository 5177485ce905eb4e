/** Checks of ops that read or write elements at indices. */
import { intTensor, node } from "../../ir/build.ts";
import type { GradCase } from "../gradcheck.case.ts";
import { type Attributes, of, single } from "./builders.case.ts";

const OPSETS = [16, 17, 18, 21];

/** Reads `x` at constant indices. */
const read = (
  op: string,
  x: readonly number[],
  indices: readonly number[],
  shape: readonly number[],
  attributes: Attributes,
): GradCase =>
  single(
    op,
    { x: of(x) },
    {
      attributes,
      more: ["i"],
      tensors: () => [intTensor("i", indices, shape)],
      label: `[${x}] at ${indices} [${shape}] ${Object.entries(attributes)}`,
      opsets: OPSETS,
    },
  );

const gather = (indices: readonly number[], shape: readonly number[], axis: number): GradCase =>
  read("Gather", [4, 3, 2], indices, shape, { axis });

/** Writes `u` into `x` at constant indices. */
const write = (
  op: string,
  x: readonly number[],
  indices: readonly number[],
  [shape, updates]: readonly [readonly number[], readonly number[]],
  attributes: Attributes,
): GradCase => ({
  op,
  label: `[${x}] at ${indices} ${Object.entries(attributes)}`,
  inputs: { x: of(x), u: of(updates) },
  nodes: () => [node(op, ["x", "i", "u"], ["y"], { attributes })],
  tensors: () => [intTensor("i", indices, shape)],
  opsets: OPSETS,
});

const writes: readonly GradCase[] = [
  write(
    "ScatterElements",
    [4, 3],
    [1, 0, 3, 2, 2, 0],
    [
      [2, 3],
      [2, 3],
    ],
    {},
  ),
  write(
    "ScatterElements",
    [3, 4],
    [1, -1, 0],
    [
      [3, 1],
      [3, 1],
    ],
    { axis: 1 },
  ),
  write(
    "ScatterElements",
    [3, 4],
    [1, 1, 0, -1, 2, 2],
    [
      [3, 2],
      [3, 2],
    ],
    { axis: -1, reduction: "add" },
  ),
  write(
    "ScatterND",
    [4, 3],
    [2, 0],
    [
      [2, 1],
      [2, 3],
    ],
    {},
  ),
  write("ScatterND", [4, 3], [2, 0, -1, 1], [[2, 2], [2]], { reduction: "none" }),
  write(
    "ScatterND",
    [4, 3, 2],
    [1, 1, 1, 1, 0, 2],
    [
      [3, 2],
      [3, 2],
    ],
    { reduction: "add" },
  ),
];

const topK = (k: number, attributes: Attributes): GradCase => ({
  op: "TopK",
  label: `${k} of ${Object.entries(attributes)}`,
  inputs: { x: of([4, 5], "separate") },
  nodes: () => [node("TopK", ["x", "k"], ["y", "which"], { attributes })],
  tensors: () => [intTensor("k", [k])],
  opsets: OPSETS,
});

export const indexingCases: readonly GradCase[] = [
  ...[gather([1, 1, -1, 0], [2, 2], 0), gather([2, 0, 2], [3], 1), gather([1], [], -1), gather([3], [], 0)],
  ...[gather([1, 0, 1, 1], [2, 2], 2), gather([-1, 0, 2], [1, 3], -2), gather([2, 2], [2, 1], -3)],
  { ...read("Gather", [5], [4, 0, 4], [3], {}), label: "a vector" },
  read("GatherElements", [3, 4], [1, 1, -1, 0], [1, 4], {}),
  read("GatherElements", [3, 4], [1, 1, 3, 0, -4, 2], [3, 2], { axis: 1 }),
  read("GatherElements", [2, 2, 3], [2, 2, 0, 1], [2, 2, 1], { axis: -1 }),
  read("GatherND", [4, 3, 2], [1, 2, 1, 2, -1, 0], [3, 2], {}),
  read("GatherND", [4, 3, 2], [1, 2, 0, 1, 2, 0], [2, 3], {}),
  read("GatherND", [2, 3, 2], [1, 1], [2, 1], { batch_dims: 1 }),
  ...writes,
  ...[topK(2, {}), topK(3, { axis: 0, largest: 0 }), topK(1, { axis: -2, sorted: 0 })],
];
