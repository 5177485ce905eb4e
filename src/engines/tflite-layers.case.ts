/** TFLite models of one layer: every op with the shapes, paddings, scales and types that change what it computes. */
import { float, node, tfliteModel } from "../ir/build.ts";
import type { ValueInfo } from "../ir/model.ts";
import { DTYPES, type DType } from "../numeric/dtypes.ts";
import {
  type Attributes,
  coded,
  ints,
  type LayerCase,
  layer,
  NONE,
  plain,
  scalesOf,
  ZERO,
} from "./tflite-layers-build.case.ts";
import { moveCases, resizeCases } from "./tflite-layers-moved.case.ts";
import { constantPair, pair, pairCases } from "./tflite-layers-pairs.case.ts";
import { meanCases, pool, poolCases } from "./tflite-layers-pools.case.ts";
import {
  biases,
  conv,
  convCases,
  convOptions,
  dense,
  depthwise,
  givenWeights,
  narrowBias,
  oddly,
  stacked,
  transposed,
  unsignedCases,
  weights,
} from "./tflite-layers-weighted.case.ts";

const unary = (
  op: string,
  dtype: DType,
  from: readonly [number, number],
  to: readonly [number, number],
  name = "",
  attributes: Attributes = {},
): LayerCase =>
  layer(`${dtype} ${name}`, op, {
    inputs: [coded("x", dtype, [3, 400], ...from)],
    outputs: [coded("y", dtype, [3, 400], ...to)],
    attributes,
  });

const requantized = (from: ValueInfo, to: ValueInfo): LayerCase =>
  layer(`${from.dtype} to ${to.dtype} (${to.quantization!.qparams.scale[0]!.toFixed(4)})`, "QUANTIZE", {
    inputs: [from],
    outputs: [to],
  });

const S8 = [1 / 256, -128] as const;
const S16 = [1 / 32768, 0] as const;

/** Layers behind one another, some for XNNPACK, some for the builtin kernels; it may join its own ones. */
function chain(): LayerCase {
  const image = (name: string, shape: readonly number[], scale = 0.0471, zero = -9): ValueInfo =>
    coded(name, "int8", shape, scale, zero);
  const w = weights({ shape: [6, 3, 3, 4], scale: scalesOf(6, 0.0031) });
  const attributes = { ...convOptions("VALID"), fused_activation_function: "RELU6" };
  const nodes = [
    node("PAD", ["x", "pads"], ["p"]),
    node("CONV_2D", ["p", "w", "b"], ["c"], { attributes }),
    node("QUANTIZE", ["c"], ["q"]),
    node("LEAKY_RELU", ["q"], ["l"], { attributes: { alpha: float(0.2) } }),
    node("MUL", ["l", "c"], ["m"], { attributes: NONE }),
    node("AVERAGE_POOL_2D", ["m"], ["a"], { attributes: pool([2, 2], 2, "VALID") }),
    node("TANH", ["a"], ["t"]),
    node("MEAN", ["t", "axes"], ["y"], { attributes: { keep_dims: 1 } }),
  ];
  const model = tfliteModel({
    inputs: [image("x", [2, 8, 8, 4], 0.0217)],
    outputs: [image("y", [2, 1, 1, 6], 0.0051)],
    values: [
      image("p", [2, 10, 10, 4], 0.0217),
      image("c", [2, 8, 8, 6], 0.0831),
      image("q", [2, 8, 8, 6], 0.0613, 5),
      image("l", [2, 8, 8, 6], 0.0513, -3),
      image("m", [2, 8, 8, 6], 0.211),
      image("a", [2, 4, 4, 6], 0.211),
      image("t", [2, 4, 4, 6], 1 / 128, 0),
    ],
    nodes,
    tensors: [
      ints("pads", [0, 0, 1, 1, 1, 1, 0, 0], [4, 2]),
      w,
      biases(6, 0.0217, scalesOf(6, 0.0031), "int32", 3e3),
      ints("axes", [1, 2]),
    ],
  });
  return { name: "eight layers in a row", model };
}

/** Every layer that is compared with the runtime. */
export const layerCases = (): readonly LayerCase[] => [
  ...(["int8", "int16"] as const).flatMap(convCases),
  ...unsignedCases,
  givenWeights(),
  narrowBias(),
  stacked("int8"),
  stacked("int16"),
  oddly("int4 weights in odd rows", 31),
  chain(),
  ...["ADD", "SUB", "MUL", "PRELU"].map(constantPair),
  conv("int4 weights", {
    input: [1, 8, 8, 4],
    output: [1, 8, 8, 6],
    filter: { shape: [6, 3, 3, 4], scale: scalesOf(6, 0.031), dtype: "int4" },
    attributes: convOptions("SAME"),
  }),
  depthwise("int4 weights", {
    input: [1, 8, 8, 4],
    output: [1, 8, 8, 4],
    filter: { shape: [1, 3, 3, 4], scale: scalesOf(4, 0.051), dtype: "int4", axis: 3 },
    attributes: { ...convOptions("SAME"), depth_multiplier: 1 },
  }),
  dense("int4 weights", {
    input: [4, 32],
    output: [4, 10],
    filter: { shape: [10, 32], scale: scalesOf(10, 0.023), dtype: "int4" },
    attributes: NONE,
  }),
  dense("weights with a zero point", {
    input: [4, 33],
    output: [4, 10],
    filter: { shape: [10, 33], scale: 0.0043, zero: 6 },
    attributes: NONE,
  }),
  conv("32-bit bias", {
    activations: "int16",
    bias: "int32",
    input: [1, 9, 8, 5],
    output: [1, 9, 8, 7],
    filter: { shape: [7, 3, 3, 5], scale: scalesOf(7, 0.0031) },
    attributes: { ...convOptions("SAME"), quantized_bias_type: "INT32" },
  }),
  ...(["int8", "int16"] as const).flatMap((dtype) => [
    transposed(dtype, "SAME", 2, [1, 10, 8, 3]),
    transposed(dtype, "VALID", 2, [1, 11, 9, 4]),
    transposed(dtype, "SAME", 1, [1, 5, 4, 2]),
  ]),
  ...(["int8", "uint8", "int16"] as const).flatMap((dtype) => [
    ...["ADD", "SUB", "MUL"].flatMap((op) => pairCases(op, dtype)),
    ...["AVERAGE_POOL_2D", "MAX_POOL_2D"].flatMap((op) => poolCases(op, dtype)),
    ...meanCases(dtype),
  ]),
  pair("ADD", "int16", "scales that are powers of two", {
    a: [2, 90],
    b: [2, 90],
    y: [2, 90],
    scales: [2 ** -11, 2 ** -12, 2 ** -11],
  }),
  pair("SUB", "int16", "scales that are powers of two", {
    a: [2, 90],
    b: [90],
    y: [2, 90],
    scales: [2 ** -13, 2 ** -12, 2 ** -12],
  }),
  pair("MUL", "int8", "scales far apart", { a: [1, 400], b: [1, 400], y: [1, 400], scales: [0.0009, 0.0007, 0.9] }),
  pair("ADD", "int8", "one scale far below the other", {
    a: [1, 400],
    b: [1, 400],
    y: [1, 400],
    scales: [0.9, 0.0007, 0.9],
  }),
  ...(["int8", "uint8"] as const).flatMap((dtype) => [
    unary("RELU", dtype, [0.037, ZERO[dtype]![0]], [0.021, ZERO[dtype]![1]]),
    unary("RELU6", dtype, [0.077, ZERO[dtype]![0]], [0.033, ZERO[dtype]![1]]),
    unary("RELU_N1_TO_1", dtype, [0.037, ZERO[dtype]![0]], [0.011, ZERO[dtype]![1]]),
    unary("RELU_0_TO_1", dtype, [0.037, ZERO[dtype]![0]], [0.011, ZERO[dtype]![1]]),
    unary("LEAKY_RELU", dtype, [0.037, ZERO[dtype]![0]], [0.029, ZERO[dtype]![1]], "", { alpha: float(0.3) }),
    unary("TANH", dtype, [0.037, ZERO[dtype]![0]], [1 / 128, dtype === "int8" ? 0 : 128]),
    unary("LOGISTIC", dtype, [0.067, ZERO[dtype]![0]], [1 / 256, DTYPES[dtype].min]),
    unary("SOFTMAX", dtype, [0.037, ZERO[dtype]![0]], [1 / 256, DTYPES[dtype].min], "", { beta: float(1) }),
    unary("SOFTMAX", dtype, [0.37, ZERO[dtype]![0]], [1 / 256, DTYPES[dtype].min], "sharp", { beta: float(0.7) }),
    unary("LOG_SOFTMAX", dtype, [0.037, ZERO[dtype]![0]], [1 / 16, DTYPES[dtype].max]),
    unary("HARD_SWISH", dtype, [0.037, ZERO[dtype]![0]], [0.029, ZERO[dtype]![1]]),
    unary("HARD_SWISH", dtype, [0.137, ZERO[dtype]![0]], [0.13, ZERO[dtype]![1]], "wide"),
    unary("HARD_SWISH", dtype, [0.0051, ZERO[dtype]![0]], [0.0047, ZERO[dtype]![1]], "narrow"),
    pair("PRELU", dtype, "", { a: [2, 4, 5, 6], b: [1, 1, 6], y: [2, 4, 5, 6], attributes: {} }),
  ]),
  unary("L2_NORMALIZATION", "int8", [0.051, -3], [1 / 128, 0], "", NONE),
  layer("int8 of rows of two", "L2_NORMALIZATION", {
    inputs: [coded("x", "int8", [150, 2], 0.051, -3)],
    outputs: [coded("y", "int8", [150, 2], 1 / 128)],
    attributes: NONE,
  }),
  unary("SOFTMAX", "int8", [0.051, -3], S8, "of ten", { beta: float(1) }),
  unary("LEAKY_RELU", "int8", [0.037, 5], [0.029, -7], "no slope", { alpha: float(0) }),
  unary("LEAKY_RELU", "int8", [9, 5], [0.029, -7], "steep", { alpha: float(0.5) }),
  unary("LEAKY_RELU", "int8", [0.037, 5], [0.029, -7], "negative slope", { alpha: float(-0.2) }),
  unary("RELU", "int16", [0.00037, 0], [0.00021, 0]),
  unary("RELU6", "int16", [0.00077, 0], [0.00033, 0]),
  unary("LEAKY_RELU", "int16", [0.00037, 0], [0.00029, 0], "", { alpha: float(0.3) }),
  unary("TANH", "int16", [0.00031, 0], S16),
  unary("LOGISTIC", "int16", [0.00031, 0], S16),
  unary("SOFTMAX", "int16", [0.00031, 0], S16, "", { beta: float(1) }),
  unary("SOFTMAX", "int16", [0.0000031, 0], S16, "flat", { beta: float(1) }),
  requantized(coded("x", "int8", [500], 0.037, 3), coded("y", "int8", [500], 0.021, -5)),
  requantized(coded("x", "int8", [500], 0.037, 3), coded("y", "uint8", [500], 0.037, 131)),
  requantized(coded("x", "uint8", [500], 0.037, 130), coded("y", "int8", [500], 0.091, 7)),
  requantized(coded("x", "int8", [500], 0.037, 3), coded("y", "int16", [500], 0.00021)),
  requantized(coded("x", "uint8", [500], 0.037, 130), coded("y", "uint8", [500], 0.0531, 101)),
  requantized(coded("x", "int8", [500], 0.0001, 3), coded("y", "int8", [500], 0.037, -5)),
  requantized(coded("x", "int16", [500], 0.00021), coded("y", "int8", [500], 0.037, 3)),
  requantized(coded("x", "int16", [500], 0.00021), coded("y", "int16", [500], 0.00037)),
  requantized(plain("x", "float32", [500]), coded("y", "int8", [500], 0.021, -5)),
  requantized(plain("x", "float32", [500]), coded("y", "uint8", [500], 0.021, 125)),
  requantized(plain("x", "float32", [500]), coded("y", "int16", [500], 0.00011)),
  ...(["int8", "uint8", "int16"] as const).map((dtype) =>
    layer(`${dtype}`, "DEQUANTIZE", {
      inputs: [coded("x", dtype, [500], 0.0213, ZERO[dtype]![0])],
      outputs: [plain("y", "float32", [500])],
    }),
  ),
  ...resizeCases,
  ...moveCases,
];
