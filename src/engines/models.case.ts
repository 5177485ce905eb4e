/** Small models for the tests of engines. */
import { encodeOnnx } from "../containers/onnx/index.ts";
import { floatTensor, graph, node, onnxModel, tensor, valueInfo } from "../ir/build.ts";
import type { Model } from "../ir/model.ts";
import { collect } from "../ir/source.ts";
import type { DType } from "../numeric/dtypes.ts";

/** All bytes of an encoded file. */
export const bytesOf = collect;

export const inMemory = async (model: Model): Promise<{ bytes: Uint8Array }> => ({
  bytes: await bytesOf(encodeOnnx(model).main),
});

export const inFiles = async (model: Model) => {
  const { main, external } = encodeOnnx(model, { external: { location: "weights.bin", threshold: 0 } });
  const files = external.map(async (file) => ({ location: file.name, bytes: await bytesOf(file) }));
  return { bytes: await bytesOf(main), external: await Promise.all(files) };
};

export const matmul = onnxModel({
  inputs: [valueInfo("x", "float32", ["batch", 2])],
  outputs: [valueInfo("y", "float32", ["batch", 3])],
  nodes: [node("MatMul", ["x", "w"], ["m"], { name: "mm" }), node("Add", ["m", "b"], ["y"], { name: "bias" })],
  tensors: [floatTensor("w", [2, 3], [1, 2, 3, 4, 5, 6]), floatTensor("b", [3], [10, 20, 30])],
});

export const conv = onnxModel({
  inputs: [valueInfo("x", "float32", [1, 1, 3, 3])],
  outputs: [valueInfo("y", "float32", [1, 1, 2, 2])],
  nodes: [node("Conv", ["x", "w"], ["y"], { name: "conv", attributes: { kernel_shape: [2, 2] } })],
  tensors: [floatTensor("w", [1, 1, 2, 2], [1, 2, 3, 4])],
});

export const branches = onnxModel({
  inputs: [valueInfo("flag", "bool", []), valueInfo("x", "float32", [2])],
  outputs: [valueInfo("y", "float32", [2])],
  nodes: [
    node("If", ["flag"], ["y"], {
      name: "choice",
      attributes: {
        then_branch: graph({ inputs: [], outputs: [valueInfo("t")], nodes: [node("Neg", ["x"], ["t"])] }),
        else_branch: graph({ inputs: [], outputs: [valueInfo("e")], nodes: [node("Sqrt", ["x"], ["e"])] }),
      },
    }),
  ],
});

export const identity = (dtype: DType): Model =>
  onnxModel({
    inputs: [valueInfo("x", dtype, ["n"])],
    outputs: [valueInfo("y", dtype, ["n"])],
    nodes: [node("Identity", ["x"], ["y"], { name: "same" })],
  });

/** x8 -> DequantizeLinear -> MatMul -> QuantizeLinear: what the engine should fuse to QLinearMatMul. */
export const qdq = onnxModel(
  {
    inputs: [valueInfo("x", "float32", ["n", 4])],
    outputs: [valueInfo("y", "float32", ["n", 4])],
    nodes: [
      node("QuantizeLinear", ["x", "xs", "xz"], ["xq"]),
      node("DequantizeLinear", ["xq", "xs", "xz"], ["xd"]),
      node("DequantizeLinear", ["w", "ws", "wz"], ["wd"]),
      node("MatMul", ["xd", "wd"], ["m"], { name: "mm" }),
      node("QuantizeLinear", ["m", "ys", "yz"], ["mq"]),
      node("DequantizeLinear", ["mq", "ys", "yz"], ["y"]),
    ],
    tensors: [
      tensor(
        "w",
        "int8",
        [4, 4],
        Int8Array.from({ length: 16 }, (_, i) => 3 * i - 20),
      ),
      tensor("wz", "int8", [], Int8Array.of(0)),
      tensor("xz", "uint8", [], Uint8Array.of(128)),
      tensor("yz", "uint8", [], Uint8Array.of(128)),
      ...["ws", "xs", "ys"].map((name) => floatTensor(name, [], [0.1])),
    ],
  },
  { opsets: { "": 21 }, formatVersion: 10 },
);

/** One op without attributes. */
export const single = (op: string, opset = 17, name = "it"): Model =>
  onnxModel(
    {
      inputs: [valueInfo("x", "float32", [1])],
      outputs: [valueInfo("y", "float32", [1])],
      nodes: [node(op, ["x"], ["y"], { name })],
    },
    { opsets: { "": opset } },
  );

/** No build of ONNX Runtime convolves in double precision on the CPU. */
export const doubleConv = onnxModel({
  inputs: [valueInfo("x", "float64", [1, 1, 4, 4])],
  outputs: [valueInfo("y", "float64")],
  nodes: [node("Conv", ["x", "w"], ["y"], { name: "it" })],
  tensors: [tensor("w", "float64", [1, 1, 1, 1], Float64Array.of(1))],
});

export const gather = onnxModel({
  inputs: [valueInfo("i", "int64", [1])],
  outputs: [valueInfo("y", "float32", [1])],
  nodes: [node("Gather", ["table", "i"], ["y"], { name: "pick" })],
  tensors: [floatTensor("table", [2], [10, 20])],
});
