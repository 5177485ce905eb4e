/** Checks of quantization, against the same without rounding; and of Dropout, where its mask says what it computes. */
import { intTensor, node, tensor } from "../../ir/build.ts";
import type { Tensor } from "../../ir/model.ts";
import { constant, type GradCase } from "../gradcheck.case.ts";
import { type Attributes, of } from "./builders.case.ts";

/** Codes from -128 to 127 around a zero point of 100: from -10.944 to 1.296 in steps of 0.048. */
const pair: GradCase = {
  op: "QuantizeLinear",
  label: "one scale",
  inputs: { x: of([6, 7], "separate") },
  precision: "float32",
  nodes: () => [node("QuantizeLinear", ["x", "s", "z"], ["q"]), node("DequantizeLinear", ["q", "s", "z"], ["y"])],
  smooth: () => [node("Clip", ["x", "low", "high"], ["y"])],
  tensors: (precision) => [
    constant("s", [], [0.048], precision),
    tensor("z", "int8", [], Int8Array.from([100])),
    constant("low", [], [-228 * 0.048], precision),
    constant("high", [], [27 * 0.048], precision),
  ],
  opsets: [16, 19, 21],
};

/** Three channels of unsigned codes without zero points, from 0 to 255 steps. */
const channels: GradCase = {
  ...pair,
  label: "a scale for each channel, codes reshaped on the way",
  inputs: { x: of([2, 3, 4], "separate") },
  nodes: () => [
    node("QuantizeLinear", ["x", "s"], ["q"], { attributes: { axis: -2 } }),
    node("Transpose", ["q"], ["t"], { attributes: { perm: [1, 0, 2] } }),
    node("DequantizeLinear", ["t", "s"], ["r"], { attributes: { axis: 0 } }),
    node("Transpose", ["r"], ["y"], { attributes: { perm: [1, 0, 2] } }),
  ],
  smooth: () => [node("Max", ["x", "zero"], ["positive"]), node("Min", ["positive", "high"], ["y"])],
  tensors: (precision) => {
    const scales = [0.001, 0.002, 0.01];
    return [
      constant("s", [3], scales, precision),
      constant("zero", [], [0], precision),
      constant(
        "high",
        [3, 1],
        scales.map((scale) => 255 * scale),
        precision,
      ),
    ];
  },
};

/** Two rows share a scale. */
const blocks: GradCase = {
  ...pair,
  label: "a scale for each block",
  inputs: { x: of([4, 3], "separate") },
  nodes: () => [
    node("QuantizeLinear", ["x", "s"], ["q"], { attributes: { axis: 0, block_size: 2, output_dtype: 3 } }),
    node("DequantizeLinear", ["q", "s"], ["y"], { attributes: { axis: 0, block_size: 2 } }),
  ],
  smooth: () => [node("Max", ["x", "low"], ["above"]), node("Min", ["above", "high"], ["y"])],
  tensors: (precision) => {
    const scales = [0.001, 0.0025, 0.004, 0.003, 0.0055, 0.006];
    const rows = [0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5];
    return [
      constant("s", [2, 3], scales, precision),
      constant(
        "low",
        [4, 3],
        rows.map((at) => -128 * scales[at]!),
        precision,
      ),
      constant(
        "high",
        [4, 3],
        rows.map((at) => 127 * scales[at]!),
        precision,
      ),
    ];
  },
  opsets: [21],
};

/** Constant codes with trained scales. */
const scaled = (scales: readonly number[], attributes: Attributes, zero: readonly Tensor[] = []): GradCase => ({
  op: "DequantizeLinear",
  label: `trained scales [${scales}] ${Object.entries(attributes)}`,
  inputs: { s: { ...of(scales, "positive"), fixed: true } },
  precision: "float32",
  nodes: () => [node("DequantizeLinear", ["q", "s", ...zero.map(({ name }) => name)], ["y"], { attributes })],
  tensors: () => [tensor("q", "int8", [2, 3], Int8Array.from([1, -2, 3, 4, 0, -128])), ...zero],
  opsets: [16, 21],
});

const dropout = (label: string, inputs: readonly string[]): GradCase => ({
  op: "Dropout",
  label,
  inputs: { x: of([3, 4]) },
  nodes: () => [
    node("Cast", ["switch"], ["training"], { attributes: { to: 9 } }),
    node("Dropout", ["x", ...inputs], ["y"]),
  ],
  tensors: (precision) => [
    intTensor("switch", [inputs.includes("half") ? 0 : 1], []),
    constant("none", [], [0], precision),
    constant("half", [], [0.5], precision),
  ],
  opsets: [16, 21],
});

export const quantizationCases: readonly GradCase[] = [
  pair,
  channels,
  blocks,
  ...[scaled([], {}), scaled([3], {}), scaled([2], { axis: 0 }), scaled([1], {})],
  scaled([], {}, [tensor("z", "int8", [], Int8Array.from([7]))]),
  dropout("inference", []),
  dropout("training, nothing dropped", ["none", "training"]),
  dropout("a switch that is off", ["half", "training"]),
];
