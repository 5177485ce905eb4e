import { float, node } from "../../ir/build.ts";
import { constant, type GradCase } from "../gradcheck.case.ts";
import { type Attributes, type Options, of, single } from "./builders.case.ts";

const EPSILON = 1e-3;

/** With its statistics as outputs, all of which reach the loss. */
const withStatistics = (outputs: readonly string[], axis: number): GradCase => {
  const used = outputs.filter((name) => name !== "");
  return {
    op: "LayerNormalization",
    label: `outputs ${outputs}, axis ${axis}`,
    inputs: { x: of([2, 3, 4]), s: of(axis === 1 ? [3, 4] : [4]) },
    precision: "float32",
    nodes: () => [
      node("LayerNormalization", ["x", "s"], outputs, { attributes: { axis, epsilon: EPSILON } }),
      used.length > 1 ? node("Sum", used, ["y"]) : node("Identity", used, ["y"]),
    ],
  };
};

/** The engine's own op of the default domain, older than RMSNormalization. */
const simplified = (shape: readonly number[], scale: readonly number[], axis: number): GradCase =>
  single(
    "SimplifiedLayerNormalization",
    { x: of(shape), s: of(scale) },
    { attributes: { axis, epsilon: EPSILON }, precision: "float32" },
  );

const rmsNorm = (shape: readonly number[], scale: readonly number[], axis: number): GradCase =>
  single(
    "RMSNormalization",
    { x: of(shape), s: of(scale) },
    { attributes: { axis, epsilon: EPSILON }, opsets: [23, 24], precision: "float32" },
  );

const perChannel = (
  op: string,
  shape: readonly number[],
  count: number,
  attributes: Attributes,
  options: Options = {},
) =>
  single(
    op,
    { x: of(shape), s: { shape: [count], fixed: true }, b: of([count]) },
    { attributes: { epsilon: EPSILON, ...attributes }, precision: "float32", ...options },
  );

const groupNorms: readonly GradCase[] = [
  perChannel("GroupNormalization", [2, 4, 3, 2], 2, { num_groups: 2 }, { opsets: [18] }),
  perChannel("GroupNormalization", [2, 6, 3], 3, { num_groups: 3 }, { opsets: [18] }),
  perChannel("GroupNormalization", [2, 4, 3, 2], 4, { num_groups: 2 }, { opsets: [21] }),
  perChannel("GroupNormalization", [2, 6, 3], 6, { num_groups: 3 }, { opsets: [21] }),
  perChannel("GroupNormalization", [2, 3, 4], 3, { num_groups: 1 }, { opsets: [21] }),
  perChannel("GroupNormalization", [2, 3, 4], 3, { num_groups: 3 }, { opsets: [18, 21] }),
];

const instanceNorms: readonly GradCase[] = [
  [2, 3, 4],
  [2, 3, 2, 4],
  [1, 2, 2, 3, 2],
].map((shape) => perChannel("InstanceNormalization", shape, shape[1]!, {}));

const meanVariances: readonly GradCase[] = [
  single("MeanVarianceNormalization", { x: of([2, 3, 2, 4]) }, { precision: "float32" }),
  single("MeanVarianceNormalization", { x: of([2, 3, 4]) }, { attributes: { axes: [1, -1] }, precision: "float32" }),
];

const lpNorms: readonly GradCase[] = [1, 2].flatMap((p) =>
  [{}, { axis: 0 }, { axis: 1 }].map((attributes) =>
    single(
      "LpNormalization",
      { x: of([3, 4, 2], p === 1 ? "separate" : "normal") },
      { attributes: { p, ...attributes } },
    ),
  ),
);

const localResponses: readonly GradCase[] = [
  { size: 3, alpha: 0.3 },
  { size: 5, alpha: 0.2, beta: 0.6, bias: float(2) },
  { size: 1, alpha: 0.5 },
].map((attributes) => single("LRN", { x: of([2, 5, 2, 3]) }, { attributes, precision: "float32" }));

const batchNorms: readonly GradCase[] = [
  [4, 3],
  [2, 3, 4],
  [3, 2, 2, 3],
].map((shape) => ({
  ...perChannel("BatchNormalization", shape, shape[1]!, {}),
  label: `[${shape}] in training`,
  nodes: () => [
    node("BatchNormalization", ["x", "s", "b", "m", "v"], ["y", "m1", "v1"], {
      attributes: { epsilon: EPSILON, training_mode: 1 },
    }),
  ],
  tensors: (precision) => ["m", "v"].map((name) => constant(name, [shape[1]!], Array(shape[1]!).fill(0.5), precision)),
}));

export const normalizationCases: readonly GradCase[] = [
  withStatistics(["n", "mean", "inverse"], -1),
  withStatistics(["n", "", "inverse"], 1),
  withStatistics(["n", "mean"], 2),
  ...[simplified([3, 5], [5], -1), simplified([2, 3, 4], [4], 2)],
  ...[rmsNorm([3, 5], [5], -1), rmsNorm([2, 3, 4], [3, 4], 1), rmsNorm([2, 2, 3], [3], 2)],
  ...[...instanceNorms, ...groupNorms, ...batchNorms, ...meanVariances, ...lpNorms, ...localResponses],
];
