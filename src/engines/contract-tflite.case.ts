/** The models of the engines' suite as TFLite files. */
import { encodeTflite } from "../containers/tflite/index.ts";
import { floatTensor, graph, node, tensor, tfliteModel, valueInfo } from "../ir/build.ts";
import type { Model, TypedArray } from "../ir/model.ts";
import type { Quantization } from "../ir/scheme.ts";
import type { ContractModels } from "./contract.case.ts";
import type { FeedableDType } from "./feedable.ts";
import { bytesOf } from "./models.case.ts";

export const tfliteBytes = async (model: Model): Promise<{ bytes: Uint8Array }> => ({
  bytes: await bytesOf(encodeTflite(model).main),
});

const none = { fused_activation_function: "NONE" };

export const fullyConnected = { attributes: { ...none, weights_format: "DEFAULT", keep_num_dims: 0 } };

/** `batch` rows at a time; null leaves their number open. */
export const matmulOf = (batch: number | null): Model =>
  tfliteModel({
    inputs: [valueInfo("x", "float32", [batch, 2])],
    outputs: [valueInfo("y", "float32", [batch, 3])],
    values: [valueInfo("m", "float32", [batch, 3])],
    nodes: [
      node("FULLY_CONNECTED", ["x", "w"], ["m"], fullyConnected),
      node("ADD", ["m", "b"], ["y"], { attributes: none }),
    ],
    tensors: [floatTensor("w", [3, 2], [1, 4, 2, 5, 3, 6]), floatTensor("b", [3], [10, 20, 30])],
  });

const strides = { padding: "VALID", stride_w: 1, stride_h: 1, dilation_w_factor: 1, dilation_h_factor: 1 };

const convOf = (dtype: "float32" | "float64", weights: TypedArray, bias: TypedArray): Model =>
  tfliteModel({
    inputs: [valueInfo("x", dtype, [1, 3, 3, 1])],
    outputs: [valueInfo("y", dtype, [1, 2, 2, 1])],
    nodes: [node("CONV_2D", ["x", "w", "b"], ["y"], { attributes: { ...none, ...strides } })],
    tensors: [tensor("w", dtype, [1, 2, 2, 1], weights), tensor("b", dtype, [1], bias)],
  });

const conv = convOf("float32", Float32Array.of(1, 2, 3, 4), new Float32Array(1));
/** No kernel convolves in double precision. */
const doubleConv = convOf("float64", Float64Array.of(1, 2, 3, 4), new Float64Array(1));

export const identity = (dtype: FeedableDType): Model =>
  tfliteModel({
    inputs: [valueInfo("x", dtype, [2])],
    outputs: [valueInfo("y", dtype, [2])],
    nodes: [node("RESHAPE", ["x", "shape"], ["y"])],
    tensors: [tensor("shape", "int32", [1], Int32Array.of(2))],
  });

const branch = (op: string, name: string) =>
  graph({
    name,
    inputs: [valueInfo("x", "float32", [2])],
    outputs: [valueInfo("y", "float32", [2])],
    nodes: [node(op, ["x"], ["y"])],
  });

const branches: Model = {
  ...tfliteModel({
    inputs: [valueInfo("flag", "bool", [1]), valueInfo("x", "float32", [2])],
    outputs: [valueInfo("y", "float32", [2])],
    nodes: [node("IF", ["flag", "x"], ["y"], { attributes: { then_subgraph_index: 1, else_subgraph_index: 2 } })],
  }),
  extra: { subgraphs: [branch("NEG", "then"), branch("SQRT", "else")] },
};

const grid = (scale: number, zeroPoint: number): { readonly quantization: Quantization } => ({
  quantization: { qparams: { scale: Float32Array.of(scale), zeroPoint: Int32Array.of(zeroPoint) } },
});

/** x -> QUANTIZE -> FULLY_CONNECTED in int8 -> DEQUANTIZE. */
export const quantized = tfliteModel({
  inputs: [valueInfo("x", "float32", [1, 4])],
  outputs: [valueInfo("y", "float32", [1, 4])],
  values: [
    { ...valueInfo("xq", "int8", [1, 4]), ...grid(0.1, 0) },
    { ...valueInfo("mq", "int8", [1, 4]), ...grid(0.5, 3) },
  ],
  nodes: [
    node("QUANTIZE", ["x"], ["xq"]),
    node("FULLY_CONNECTED", ["xq", "w", "b"], ["mq"], fullyConnected),
    node("DEQUANTIZE", ["mq"], ["y"]),
  ],
  tensors: [
    {
      ...tensor(
        "w",
        "int8",
        [4, 4],
        Int8Array.from({ length: 16 }, (_, i) => 3 * i - 20),
      ),
      ...grid(0.1, 0),
    },
    { ...tensor("b", "int32", [4], new Int32Array(4)), ...grid(0.1 * 0.1, 0) },
  ],
});

/** One op from a vector of one float to another. */
export const single = (op: string, domain = ""): Model =>
  tfliteModel({
    inputs: [valueInfo("x", "float32", [1])],
    outputs: [valueInfo("y", "float32", [1])],
    nodes: [node(op, ["x"], ["y"], { domain })],
  });

const gather = tfliteModel({
  inputs: [valueInfo("i", "int32", [1])],
  outputs: [valueInfo("y", "float32", [1])],
  nodes: [node("GATHER", ["table", "i"], ["y"], { attributes: { axis: 0, batch_dims: 0 } })],
  tensors: [floatTensor("table", [2], [10, 20])],
});

export const TFLITE_MODELS: ContractModels = {
  inMemory: tfliteBytes,
  rows: "n",
  matmul: matmulOf(1),
  conv,
  identity,
  dtypes: [
    "float32",
    "float64",
    "float16",
    "int64",
    "int32",
    "int16",
    "int8",
    "uint64",
    "uint32",
    "uint16",
    "uint8",
    "bool",
  ],
  branches,
  branchesHistogram: { "IF bool": 1, "NEG float32": 1, "SQRT float32": 1 },
  quantized,
  quantizedHistogram: { "QUANTIZE float32": 1, "FULLY_CONNECTED int8": 1, "DEQUANTIZE int8": 1 },
  gather,
  badIndex: /index out of/,
  indexOf: (index) => ({ dtype: "int32", shape: [1], data: Int32Array.of(index) }),
  async refusals() {
    const { bytes } = await tfliteBytes(matmulOf(1));
    return [
      [{ bytes: new TextEncoder().encode("no model at all") }, "format", /not a TFLite model/],
      [{ bytes: bytes.subarray(0, bytes.length - 9) }, "format", /truncated|damaged/],
      [await tfliteBytes(single("Frobnicate", "custom")), "engine", /the engine has no custom op Frobnicate/],
      [await tfliteBytes(single("FlexErf", "custom")), "engine", /op FlexErf is TensorFlow's own/],
      [await tfliteBytes(doubleConv), "engine", /node 0 \(CONV_2D\): no kernel for its types or shapes/],
    ];
  },
};
