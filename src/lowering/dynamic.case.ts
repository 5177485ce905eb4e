/** The small models of scripts/peers/golden-q8.py, rebuilt: same names, same weights to the last bit. */
import { floatTensor, graph, node, onnxModel, valueInfo } from "../ir/build.ts";
import type { Model, Node, Tensor, ValueInfo } from "../ir/model.ts";
import { elementCount } from "../numeric/dtypes.ts";

/** xorshift32 (Marsaglia 2003, shifts 13, 17, 5). */
export function words(seed: number, count: number): Uint32Array {
  const out = new Uint32Array(count);
  let state = seed;
  for (let i = 0; i < count; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    out[i] = state;
  }
  return out;
}

/** Multiples of 2^-shift in [-2^(15-shift), 2^(15-shift)). */
export const weights = (count: number, seed: number, shift = 16): Float32Array =>
  Float32Array.from(words(seed, count), (word) => ((word >>> 16) - 32768) / 2 ** shift);

const constant = (name: string, shape: readonly number[], seed: number): Tensor =>
  floatTensor(name, shape, weights(elementCount(shape), seed));

/** Columns: all zero, constant, outlier, positive, below the smallest normal number, negative. */
function special(): Float32Array {
  const column: readonly ((value: number, row: number) => number)[] = [
    () => 0,
    () => 0.375,
    (value, row) => (row === 3 ? 1000 : value),
    (value) => Math.abs(value),
    () => 2 ** -140,
    (value) => -Math.abs(value),
  ];
  return weights(96, 11).map((value, i) => column[i % 6]!(value, Math.floor(i / 6)));
}

/** Halves up to 127: with scale 1 every odd half is a tie. */
const ties = (): Float32Array => weights(128, 12, 7).map((value, i) => (i < 8 ? 127 : Math.floor(value) / 2));

const made = (
  nodes: readonly Node[],
  tensors: readonly Tensor[],
  inputs: readonly ValueInfo[],
  outputs: readonly string[] = ["y"],
): Model => onnxModel({ nodes, tensors, inputs, outputs: outputs.map((name) => valueInfo(name)) });

const matmul = (w: Tensor): Model =>
  made([node("MatMul", ["x", "w"], ["y"], { name: "mm" })], [w], [valueInfo("x", "float32", [null, w.shape[0]!])]);

function branches(): Model {
  const then_branch = graph({
    name: "then",
    inputs: [],
    outputs: [valueInfo("t")],
    nodes: [node("MatMul", ["x", "w1"], ["t"], { name: "inner" })],
    tensors: [constant("w1", [8, 6], 21)],
  });
  const else_branch = graph({
    name: "else",
    inputs: [],
    outputs: [valueInfo("e")],
    nodes: [node("MatMul", ["x", "w2"], ["e"], { name: "outer" })],
  });
  return made(
    [node("If", ["c"], ["y"], { name: "choose", attributes: { then_branch, else_branch } })],
    [constant("w2", [8, 6], 22)],
    [valueInfo("x", "float32", [4, 8]), valueInfo("c", "bool", [])],
  );
}

const gather = (): Model =>
  made(
    [
      node("Gather", ["table", "ids"], ["rows"], { name: "embed" }),
      node("Relu", ["rows"], ["r"], { name: "relu" }),
      node("MatMul", ["r", "w"], ["y"], { name: "mm" }),
    ],
    [constant("table", [20, 16], 8), constant("w", [16, 8], 9)],
    [valueInfo("ids", "int64", [null])],
  );

const conv = (): Model =>
  made(
    [node("Conv", ["x", "w", "b"], ["y"], { name: "conv", attributes: { pads: [1, 1, 1, 1], kernel_shape: [3, 3] } })],
    [constant("w", [4, 3, 3, 3], 6), constant("b", [4], 7)],
    [valueInfo("x", "float32", [1, 3, 8, 8])],
  );

const rows = (name: string): ValueInfo => valueInfo(name, "float32", [null, 16]);

export const CASES: Readonly<Record<string, () => Model>> = {
  matmul: () => matmul(constant("w", [16, 12], 1)),
  "matmul-batched": () =>
    made(
      [node("MatMul", ["x", "w"], ["y"], { name: "mm" })],
      [constant("w", [3, 16, 8], 2)],
      [valueInfo("x", "float32", [3, 4, 16])],
    ),
  special: () => matmul(floatTensor("w", [16, 6], special())),
  ties: () => matmul(floatTensor("w", [16, 8], ties())),
  zeros: () => matmul(floatTensor("w", [8, 4], new Float32Array(32))),
  "gemm-transposed": () =>
    made(
      [node("Gemm", ["x", "w", "b"], ["y"], { name: "gemm", attributes: { transB: 1 } })],
      [constant("w", [10, 16], 3), constant("b", [10], 4)],
      [rows("x")],
    ),
  gemm: () => made([node("Gemm", ["x", "w"], ["y"], { name: "gemm" })], [constant("w", [16, 10], 5)], [rows("x")]),
  conv,
  "gather-matmul": gather,
  branches,
  shared: () =>
    made(
      [node("MatMul", ["x", "w"], ["y"], { name: "first" }), node("MatMul", ["z", "w"], ["v"], { name: "second" })],
      [constant("w", [16, 12], 10)],
      [rows("x"), rows("z")],
      ["y", "v"],
    ),
};
