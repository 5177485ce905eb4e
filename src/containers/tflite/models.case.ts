/** TFLite models built in code, for tests and for the seeds of the fuzzer. */
import { graph, node, tensor, tfliteModel, valueInfo } from "../../ir/build.ts";
import type { Graph, Model, Node, Tensor, ValueInfo } from "../../ir/model.ts";
import { bytesSource } from "../../ir/source.ts";
import type { TfliteExtra, TfliteGraphExtra, TfliteNodeExtra, TfliteTensorExtra } from "./extra.ts";
import { encodeTflite } from "./write.ts";

/** All bytes of a model's file. */
export async function bytesOf(model: Model): Promise<Uint8Array> {
  const { main } = encodeTflite(model);
  const bytes = new Uint8Array(main.size);
  let at = 0;
  for await (const chunk of main.chunks()) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

/** Scales 0.5, 1, 1.5, ... for each index of an axis. */
const perAxis = (count: number, axis: number) => ({
  qparams: { scale: Float32Array.from({ length: count }, (_, i) => (i + 1) / 2), zeroPoint: new Int32Array(count) },
  axis,
});
const perTensor = (scale: number, zeroPoint: number) => ({
  qparams: { scale: Float32Array.of(scale), zeroPoint: Int32Array.of(zeroPoint) },
});

/** A value of int8 codes. */
export const int8Value = (name: string, shape: readonly (number | null)[]): ValueInfo => ({
  ...valueInfo(name, "int8", shape),
  quantization: perTensor(0.25, -3),
});

const conv = (inputs: readonly string[], output: string): Node =>
  node("CONV_2D", inputs, [output], {
    attributes: { padding: "SAME", stride_w: 1, stride_h: 1, fused_activation_function: "RELU" },
  });

/** An int8 convolution per channel, a batch of any length, and a softmax without a fused activation. */
export const convModel = (): Model =>
  tfliteModel({
    name: "main",
    inputs: [int8Value("x", [null, 4, 4, 1])],
    outputs: [{ ...int8Value("y", [null, 32]), quantization: perTensor(1 / 256, -128) }],
    nodes: [
      conv(["x", "w", "b"], "c"),
      node("RESHAPE", ["c", "shape"], ["r"], { attributes: { new_shape: [-1, 32] } }),
      node("SOFTMAX", ["r"], ["y"], { attributes: { beta: { type: "float", value: 1 } } }),
    ],
    tensors: [
      {
        ...tensor(
          "w",
          "int8",
          [2, 3, 3, 1],
          Int8Array.from({ length: 18 }, (_, i) => i - 9),
        ),
        quantization: perAxis(2, 0),
      },
      tensor("b", "int32", [2], Int32Array.of(5, -5)),
      tensor("shape", "int32", [2], Int32Array.of(-1, 32)),
    ],
    values: [int8Value("c", [null, 4, 4, 2]), int8Value("r", [null, 32])],
  });

const withExtra = (made: Model, extra: Partial<TfliteExtra>): Model => ({
  ...made,
  extra: { subgraphs: [], ...extra },
});

const int32Scalar = (name: string): ValueInfo => valueInfo(name, "int32", []);
const scalar = (name: string, value: number): Tensor => tensor(name, "int32", [], Int32Array.of(value));

const condition = (): Graph =>
  graph({
    name: "condition",
    inputs: [int32Scalar("i")],
    outputs: [valueInfo("more", "bool", [])],
    nodes: [node("LESS", ["i", "limit"], ["more"])],
    tensors: [scalar("limit", 10)],
  });

const step = (name: string, by: number): Graph =>
  graph({
    name,
    inputs: [int32Scalar("i")],
    outputs: [int32Scalar("next")],
    nodes: [node("ADD", ["i", "by"], ["next"], { attributes: { fused_activation_function: "NONE" } })],
    tensors: [scalar("by", by)],
  });

/** WHILE and IF with graphs of their own, two signatures, a description and metadata of text and of bytes. */
export const controlFlowModel = (): Model => {
  const main = tfliteModel({
    inputs: [int32Scalar("start"), valueInfo("flag", "bool", [])],
    outputs: [int32Scalar("end")],
    nodes: [
      node("WHILE", ["start"], ["middle"], { attributes: { cond_subgraph_index: 1, body_subgraph_index: 2 } }),
      node("IF", ["flag", "middle"], ["end"], { attributes: { then_subgraph_index: 2, else_subgraph_index: 3 } }),
    ],
    values: [int32Scalar("middle")],
  });
  const inputs = [
    { name: "from", value: "start" },
    { name: "flag", value: "flag" },
  ];
  return withExtra(
    { ...main, metadata: { min_runtime_version: "2.3.0" } },
    {
      subgraphs: [condition(), step("body", 1), step("other", -1)],
      signatures: [
        { key: "serving_default", subgraph: 0, inputs, outputs: [{ name: "to", value: "end" }] },
        { key: "step", subgraph: 2, inputs: [{ name: "i", value: "i" }], outputs: [{ name: "o", value: "next" }] },
      ],
      description: "counts",
      metadata: [{ name: "blob", data: bytesSource(Uint8Array.of(0, 1, 2, 255)) }],
    },
  );
};

/** A custom op with options, an LSTM-like op with state, intermediates and omitted inputs, and a resource. */
export const customModel = (): Model => {
  const custom: TfliteNodeExtra = { customOptions: Uint8Array.of(1, 2, 3), version: 7 };
  const lstm: TfliteNodeExtra = { mutatingVariableInputs: [false, false, true], intermediates: ["inner"] };
  const state: TfliteTensorExtra = { asRead: { is_variable: true, name: "state", shape: [1, 4] } };
  const main = tfliteModel({
    inputs: [valueInfo("x", "float32", [1, 4])],
    outputs: [valueInfo("z", "float32", [1, 4])],
    nodes: [
      { ...node("MyOp", ["x", ""], ["y"], { domain: "custom" }), extra: custom },
      {
        ...node("UNIDIRECTIONAL_SEQUENCE_LSTM", ["y", "", "state"], ["z"], {
          attributes: { time_major: 1, fused_activation_function: "TANH" },
        }),
        extra: lstm,
      },
    ],
    values: [
      valueInfo("y", "float32", [1, 4]),
      int8Value("inner", []),
      { ...valueInfo("state", "float32", [1, 4]), extra: state },
    ],
  });
  return { ...main, graph: { ...main.graph, opaque: ["state"] } };
};

/** Row 0 holds column 1, row 2 holds columns 0 and 2 of a 3 x 3 matrix: compressed rows. */
const SPARSITY = {
  traversal_order: [0, 1],
  dim_metadata: [
    { dense_size: 3 },
    {
      format: 1,
      array_segments: { type: "Int32Vector", value: { values: [0, 1, 1, 3] } },
      array_indices: { type: "Uint8Vector", value: { values: Uint8Array.of(1, 0, 2) } },
    },
  ],
} as const;

/** Weights that are sparse, int4 in blocks of 32 with scales in another tensor, and strings. */
export const weightsModel = (): Model => {
  const sparse: TfliteTensorExtra = {
    asRead: { shape: [3, 3], name: "sparse", sparsity: SPARSITY },
    data: bytesSource(new Uint8Array(Float32Array.of(1, 2, 3).buffer)),
  };
  const strings: TfliteTensorExtra = {
    data: bytesSource(Uint8Array.of(1, 0, 0, 0, 12, 0, 0, 0, 14, 0, 0, 0, 104, 105)),
  };
  const blocks = { scales: "scales", size: 32 };
  const quantization = { qparams: { scale: new Float32Array(), zeroPoint: new Int32Array() }, blocks };
  const main = tfliteModel({
    inputs: [valueInfo("x", "float32", [1, 64]), valueInfo("u", "float32", [1, 3])],
    outputs: [valueInfo("y", "float32", [1, 2]), valueInfo("v", "float32", [1, 3]), valueInfo("s", "string", [1])],
    nodes: [
      node("FULLY_CONNECTED", ["x", "w", ""], ["y"], { attributes: { keep_num_dims: 0 } }),
      node("FULLY_CONNECTED", ["u", "sparse", ""], ["v"]),
      node("SQUEEZE", ["names"], ["s"], { attributes: { squeeze_dims: [] } }),
    ],
    tensors: [
      { ...tensor("w", "int4", [2, 64], new Uint8Array(64).fill(0x1f)), quantization },
      tensor("scales", "float16", [2, 2], Uint16Array.of(1, 2, 3, 4)),
    ],
    values: [
      { ...valueInfo("sparse", "float32", [3, 3]), extra: sparse },
      { ...valueInfo("names", "string", [1]), extra: strings },
    ],
  });
  return { ...main, graph: { ...main.graph, opaque: ["sparse", "names"] } };
};

/** Two tensors of one name, one without a name, and a signature without a key, aliases and outputs. */
export const namesModel = (): Model => {
  const named = (name: string | undefined, named: string): TfliteTensorExtra => ({
    asRead: { ...(name !== undefined && { name }), shape: [2] },
    named,
  });
  const value = (name: string, own: string | undefined): ValueInfo => ({
    ...valueInfo(name, "float32", [2]),
    extra: named(own, name),
  });
  const order: TfliteGraphExtra = { asRead: {}, order: ["x", "x_1", "tensor_2"], unused: [] };
  const main = tfliteModel({
    inputs: [value("x", "x")],
    outputs: [value("tensor_2", undefined)],
    nodes: [node("RELU", ["x"], ["x_1"]), node("TANH", ["x_1"], ["tensor_2"])],
    values: [value("x_1", "x")],
  });
  const signatures = [{ subgraph: 0, inputs: [{ value: "x" }], outputs: [] }];
  return withExtra({ ...main, graph: { ...main.graph, name: "", extra: order } }, { signatures });
};

/** All of them by what they show. */
export const MODELS: Readonly<Record<string, () => Model>> = {
  "an int8 convolution": convModel,
  "control flow, signatures and metadata": controlFlowModel,
  "custom ops and state": customModel,
  "sparse, blockwise and string constants": weightsModel,
  "repeated and missing names": namesModel,
};
