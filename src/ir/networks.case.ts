/** Small networks with random weights, for tests of what is done to graphs. */
import { elementCount } from "../numeric/dtypes.ts";
import { rng } from "../numeric/rng.ts";
import { floatTensor, node, onnxModel, valueInfo } from "./build.ts";
import type { Model, Tensor } from "./model.ts";

/** Draws normal numbers for a shape; the same seed gives the same ones. */
export type Normals = (shape: readonly number[], scale?: number) => Float32Array;

export const normalsOf = (seed: number): Normals => {
  const random = rng(seed);
  return (shape, scale = 1) => Float32Array.from({ length: elementCount(shape) }, () => random.normal() * scale);
};

/** A weight that hands on values of the size it is given. */
const weight = (normals: Normals, name: string, shape: readonly number[], fanIn: number): Tensor =>
  floatTensor(name, shape, normals(shape, Math.sqrt(2 / fanIn)));

const bias = (normals: Normals, name: string, length: number): Tensor =>
  floatTensor(name, [length], normals([length], 0.1));

/** How large a network is. */
export interface CnnSize {
  /** Pixels along each side. */
  readonly side: number;
  readonly channels: number;
  readonly classes: number;
}

const PADS = { pads: [1, 1, 1, 1] };

/** Convolutions "one" and "two" with ReLU, a residual sum, pools, and a dense layer "head": x -> y. */
export const smallCnn = ({ side, channels, classes }: CnnSize, normals: Normals): Model =>
  onnxModel({
    inputs: [valueInfo("x", "float32", ["n", 3, side, side])],
    outputs: [valueInfo("y", "float32", ["n", classes])],
    nodes: [
      node("Conv", ["x", "w1", "b1"], ["c1"], { name: "one", attributes: PADS }),
      node("Relu", ["c1"], ["r1"]),
      node("Conv", ["r1", "w2", "b2"], ["c2"], { name: "two", attributes: PADS }),
      node("Add", ["c2", "r1"], ["s"]),
      node("Relu", ["s"], ["r2"]),
      node("MaxPool", ["r2"], ["p"], { attributes: { kernel_shape: [2, 2], strides: [2, 2] } }),
      node("GlobalAveragePool", ["p"], ["g"]),
      node("Flatten", ["g"], ["f"]),
      node("Gemm", ["f", "w3", "b3"], ["y"], { name: "head", attributes: { transB: 1 } }),
    ],
    tensors: [
      weight(normals, "w1", [channels, 3, 3, 3], 27),
      bias(normals, "b1", channels),
      weight(normals, "w2", [channels, channels, 3, 3], 9 * channels),
      bias(normals, "b2", channels),
      weight(normals, "w3", [classes, channels], channels),
      bias(normals, "b3", classes),
    ],
  });

const SIGMOID = { attributes: { alpha: 1 / 6, beta: 0.5 } };

/**
 * A block as MobileNetV3 has them (arXiv:1905.02244), all gates hard: convolutions "expand", "depthwise" and "project" with
 * squeeze and excitation between, and a dense layer "head" behind a mean: x -> y.
 */
export const gatedCnn = ({ side, channels, classes }: CnnSize, normals: Normals): Model =>
  onnxModel({
    inputs: [valueInfo("x", "float32", ["n", 3, side, side])],
    outputs: [valueInfo("y", "float32", ["n", classes])],
    nodes: [
      node("Conv", ["x", "w1", "b1"], ["c1"], { name: "expand", attributes: PADS }),
      node("HardSwish", ["c1"], ["s1"]),
      node("Conv", ["s1", "w2", "b2"], ["c2"], { name: "depthwise", attributes: { ...PADS, group: channels } }),
      node("HardSigmoid", ["c2"], ["g2"], SIGMOID),
      node("Mul", ["c2", "g2"], ["s2"]),
      node("ReduceMean", ["s2"], ["m"], { attributes: { axes: [2, 3], keepdims: 1 } }),
      node("Conv", ["m", "w3", "b3"], ["c3"], { name: "squeeze" }),
      node("Relu", ["c3"], ["r3"]),
      node("Conv", ["r3", "w4", "b4"], ["c4"], { name: "excite" }),
      node("HardSigmoid", ["c4"], ["g4"]),
      node("Mul", ["s2", "g4"], ["e"]),
      node("Conv", ["e", "w5", "b5"], ["c5"], { name: "project" }),
      node("HardSwish", ["c5"], ["s5"]),
      node("ReduceMean", ["s5"], ["p"], { attributes: { axes: [2, 3], keepdims: 0 } }),
      node("Gemm", ["p", "w6", "b6"], ["y"], { name: "head", attributes: { transB: 1 } }),
    ],
    tensors: [
      weight(normals, "w1", [channels, 3, 3, 3], 27),
      bias(normals, "b1", channels),
      weight(normals, "w2", [channels, 1, 3, 3], 9),
      bias(normals, "b2", channels),
      weight(normals, "w3", [4, channels, 1, 1], channels),
      bias(normals, "b3", 4),
      weight(normals, "w4", [channels, 4, 1, 1], 4),
      bias(normals, "b4", channels),
      weight(normals, "w5", [channels, channels, 1, 1], channels),
      bias(normals, "b5", channels),
      weight(normals, "w6", [classes, channels], channels),
      bias(normals, "b6", classes),
    ],
  });

const around = (name: string): readonly string[] =>
  ["gain", "shift", "mean", "spread"].map((part) => `${name}-${part}`);

const norm = (normals: Normals, name: string, channels: number): readonly Tensor[] => {
  const [gain, shift, mean, spread] = around(name) as [string, string, string, string];
  const vector = (of: string, add: number, scale: number) =>
    floatTensor(
      of,
      [channels],
      normals([channels], scale).map((x) => Math.abs(add + x)),
    );
  return [vector(gain, 1, 0.2), bias(normals, shift, channels), bias(normals, mean, channels), vector(spread, 1, 0.2)];
};

/** Convolutions behind normalizations, as DenseNet has them (arXiv:1608.06993), and a dense layer "head": x -> y. */
export const denseCnn = ({ side, channels, classes }: CnnSize, normals: Normals): Model =>
  onnxModel({
    inputs: [valueInfo("x", "float32", ["n", 3, side, side])],
    outputs: [valueInfo("y", "float32", ["n", classes])],
    nodes: [
      node("Conv", ["x", "w1", "b1"], ["c1"], { name: "stem", attributes: PADS }),
      node("BatchNormalization", ["c1", ...around("n1")], ["n1"], { name: "norm1" }),
      node("Relu", ["n1"], ["r1"]),
      node("Conv", ["r1", "w2"], ["c2"], { name: "grow", attributes: PADS }),
      node("Concat", ["c1", "c2"], ["d"], { attributes: { axis: 1 } }),
      node("BatchNormalization", ["d", ...around("n2")], ["n2"], { name: "norm2" }),
      node("Relu", ["n2"], ["r2"]),
      node("GlobalAveragePool", ["r2"], ["p"]),
      node("Flatten", ["p"], ["f"]),
      node("Gemm", ["f", "w3", "b3"], ["y"], { name: "head", attributes: { transB: 1 } }),
    ],
    tensors: [
      weight(normals, "w1", [channels, 3, 3, 3], 27),
      bias(normals, "b1", channels),
      ...norm(normals, "n1", channels),
      weight(normals, "w2", [channels, channels, 3, 3], 9 * channels),
      ...norm(normals, "n2", 2 * channels),
      weight(normals, "w3", [classes, 2 * channels], 2 * channels),
      bias(normals, "b3", classes),
    ],
  });

/** Matrix products "up" and "down" as transformers have them: x [n, 64] -> y [n, 8]. */
export const smallMlp = (normals: Normals): Model =>
  onnxModel({
    inputs: [valueInfo("x", "float32", ["n", 64])],
    outputs: [valueInfo("y", "float32", ["n", 8])],
    nodes: [
      node("MatMul", ["x", "w1"], ["m1"], { name: "up" }),
      node("Add", ["m1", "b1"], ["a1"]),
      node("Relu", ["a1"], ["r1"]),
      node("MatMul", ["r1", "w2"], ["y"], { name: "down" }),
    ],
    tensors: [weight(normals, "w1", [64, 32], 64), bias(normals, "b1", 32), weight(normals, "w2", [32, 8], 32)],
  });
