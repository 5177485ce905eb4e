/** Models for the tests of the ONNX container, and protobuf written by hand where the writer would not write it so. */
import { floatTensor, graph, intTensor, node, onnxModel, tensor, valueInfo } from "../../ir/build.ts";
import type { FunctionDef, Graph, Model, Tensor } from "../../ir/model.ts";
import { bytesSource } from "../../ir/source.ts";
import { byteLength, DTYPES, type DType } from "../../numeric/dtypes.ts";
import { isBytes } from "../stream.ts";
import { encode, type Fields } from "./message-write.ts";
import type { MessageName } from "./schema.ts";
import { finish, type Part, put, putBytesField, putIntField } from "./sink.ts";

const utf8 = new TextEncoder();

export const allBytes = (message: Part): Uint8Array =>
  Buffer.concat(finish(message).pieces.map((piece) => (isBytes(piece) ? piece : new Uint8Array(piece.size))));

/** A message by its table row. */
export const message = <M extends MessageName>(name: M, fields: Fields<M>): Part => encode(name, fields);

/** A field with bytes inside, tag included. */
export const bytesField = (id: number, bytes: Uint8Array | string): Uint8Array =>
  allBytes((to) => putBytesField(to, id, typeof bytes === "string" ? utf8.encode(bytes) : bytes));

/** A field with a whole number, tag included. */
export const intField = (id: number, value: number): Uint8Array => allBytes((to) => putIntField(to, id, value));

/** One message out of raw fields. */
export const raw =
  (...parts: readonly Uint8Array[]): Part =>
  (to) => {
    for (const bytes of parts) put(to, bytes);
  };

/** The smallest model around a graph written by hand. */
export const modelAround = (graphMessage: Part): Uint8Array =>
  allBytes(
    encode("ModelProto", {
      irVersion: 10,
      graph: graphMessage,
      opsetImport: [encode("OperatorSetIdProto", { domain: "", version: 21 })],
    }),
  );

/** A tensor of any dtype with `count` elements whose bytes count up. */
export const anyTensor = (name: string, dtype: DType, count: number): Tensor => ({
  name,
  dtype,
  shape: [count],
  data: bytesSource(Uint8Array.from({ length: byteLength(dtype, count) }, (_, i) => (i * 37 + 1) % 251)),
  ...(dtype === "string" && { strings: Array.from({ length: count }, (_, i) => utf8.encode(`string ${i}`)) }),
});

const everyDtype = Object.keys(DTYPES).map((dtype) => anyTensor(`of ${dtype}`, dtype as DType, 7));

const branch = (constant: string): Graph =>
  graph({
    name: `branch ${constant}`,
    inputs: [],
    outputs: [valueInfo(`${constant} out`, "float32", [2])],
    nodes: [node("Add", ["x", constant], [`${constant} out`], { name: `add ${constant}` })],
    tensors: [floatTensor(constant, [2], [3, 4])],
  });

const loopBody = graph({
  name: "body",
  inputs: [valueInfo("i", "int64", []), valueInfo("more", "bool", []), valueInfo("state", "float32", [2])],
  outputs: [valueInfo("again", "bool", []), valueInfo("next", "float32", [2])],
  nodes: [node("Identity", ["more"], ["again"]), node("Relu", ["state"], ["next"], { name: "relu" })],
});

const twice: FunctionDef = {
  name: "Twice",
  domain: "com.example",
  inputs: ["a"],
  outputs: ["b"],
  nodes: [node("Add", ["a", "a"], ["b"])],
  opsets: { "": 21 },
};

/** Sub-graphs, a function, all element types, all kinds of attributes, symbols in shapes, metadata. */
export const richModel = (): Model =>
  onnxModel(
    {
      name: "rich",
      inputs: [valueInfo("x", "float32", ["batch", 2, null]), valueInfo("c", "bool", []), { name: "anything" }],
      outputs: [valueInfo("y", "float32"), valueInfo("z", "float32", [2]), valueInfo("twice", "float32")],
      values: [valueInfo("loop out", "float32", [2])],
      nodes: [
        node("If", ["c"], ["y"], { name: "if", attributes: { then_branch: branch("t"), else_branch: branch("e") } }),
        node("Loop", ["trips", "", "x"], ["loop out"], { name: "loop", attributes: { body: loopBody } }),
        node("Twice", ["loop out"], ["twice"], { domain: "com.example" }),
        node("Everything", ["loop out", ""], ["z"], {
          domain: "com.example",
          attributes: {
            int: 5,
            negative: -5,
            huge: 2n ** 62n,
            float: { type: "float", value: 0.5 },
            text: "größer",
            ints: [1, -2, 3],
            floats: [0.25, 1e-3].map(Math.fround),
            none: { type: "ints", value: [] },
            strings: { type: "strings", value: ["a", "", "ß"].map((text) => utf8.encode(text)) },
            tensor: tensor("", "uint8", [3], Uint8Array.of(1, 2, 3)),
            tensors: { type: "tensors", value: [intTensor("one", [1]), intTensor("two", [2])] },
            graphs: { type: "graphs", value: [branch("p"), branch("q")] },
          },
        }),
      ],
      tensors: [intTensor("trips", [3], []), floatTensor("empty", [0, 4], []), ...everyDtype],
    },
    {
      opsets: { "": 21, "com.example": 1 },
      functions: [twice],
      metadata: { author: "somebody", note: "größe" },
      formatVersion: 10,
    },
  );

/** One node, one weight. */
export const smallModel = (weight: Tensor = floatTensor("w", [2], [1, 2])): Model =>
  onnxModel({
    inputs: [valueInfo("x", "float32", [2])],
    outputs: [valueInfo("y", "float32", [2])],
    nodes: [node("Add", ["x", weight.name], ["y"], { name: "add" })],
    tensors: [weight],
  });
