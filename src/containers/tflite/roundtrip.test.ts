/** What is read and written comes back the same. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { node, tensor, tfliteModel, valueInfo } from "../../ir/build.ts";
import type { Model } from "../../ir/model.ts";
import { bytesSource, readAll } from "../../ir/source.ts";
import { checkTflite } from "./check.ts";
import { graphExtra, nodeExtra, tensorExtra, tfliteExtra } from "./extra.ts";
import {
  bytesOf,
  controlFlowModel,
  convModel,
  customModel,
  int8Value,
  MODELS,
  namesModel,
  weightsModel,
} from "./models.case.ts";
import { readTflite } from "./read.ts";
import { treeOf } from "./trees.case.ts";
import { isUnchanged, modelTable } from "./write.ts";

const reopen = async (model: Model): Promise<Model> => readTflite(bytesSource(await bytesOf(model)));

describe.each(Object.entries(MODELS))("a model with %s", (_, make) => {
  test("is legal, and comes back with the same content when it is written anew", async () => {
    const bytes = await bytesOf(make());
    const model = await readTflite(bytesSource(bytes));
    expect(checkTflite(model)).toEqual([]);
    const anew = await bytesOf({ ...model });
    expect(await treeOf(anew)).toEqual(await treeOf(bytes));
    expect(await bytesOf({ ...(await readTflite(bytesSource(anew))) })).toEqual(anew);
  });

  test("is copied byte for byte while it is unchanged, and read the same from a file that is not in memory", async () => {
    const bytes = await bytesOf(make());
    const memory = bytesSource(bytes);
    const file = { size: memory.size, seekable: true as const, read: memory.read.bind(memory) };
    const model = await readTflite(file);
    expect(isUnchanged(model)).toBe(true);
    expect(isUnchanged({ ...model })).toBe(false);
    expect(await bytesOf(model)).toEqual(bytes);
    expect(await treeOf(await bytesOf({ ...model }))).toEqual(await treeOf(bytes));
  });
});

const DATA = resolve(import.meta.dirname, "../../../../shared/data/mlperf-tiny");
const reason = existsSync(DATA) ? undefined : `no ${DATA}`;
if (reason !== undefined) console.log(`skipped: TensorFlow's own files: ${reason}`);
const files = reason === undefined ? readdirSync(DATA).filter((name) => name.endsWith(".tflite")) : [];

test.skipIf(reason !== undefined).each(files.map((name) => [name]))(
  "%s has the same content when it is written anew, and its ops the versions their types ask for",
  async (name) => {
    const bytes = readFileSync(join(DATA, name));
    const model = await readTflite(bytesSource(bytes));
    const anew = await bytesOf({ ...model });
    expect(await treeOf(anew)).toEqual(await treeOf(bytes));
    expect(Math.abs(anew.length - bytes.length)).toBeLessThan(1024);
    for (const made of model.graph.nodes) {
      const { asRead } = nodeExtra(made);
      expect(asRead?.version, made.op).toBe(asRead?.derived);
    }
  },
);

test("the nouns say what the file says", async () => {
  const { graph, container, formatVersion } = await reopen(convModel());
  expect([container, formatVersion, graph.name]).toEqual(["tflite", 3, "main"]);
  expect(graph.inputs[0]).toMatchObject({ name: "x", dtype: "int8", shape: [null, 4, 4, 1] });
  expect(graph.inputs[0]?.quantization?.qparams.zeroPoint).toEqual(Int32Array.of(-3));
  const weights = graph.tensors.get("w")!;
  expect(weights).toMatchObject({ dtype: "int8", shape: [2, 3, 3, 1], quantization: { axis: 0 } });
  expect(weights.quantization?.qparams.scale).toEqual(Float32Array.of(0.5, 1));
  expect([...graph.values.keys()]).toEqual(["c", "r"]);
  expect(graph.nodes[0]?.attributes).toEqual({
    padding: { type: "string", value: new TextEncoder().encode("SAME") },
    stride_w: { type: "int", value: 1 },
    stride_h: { type: "int", value: 1 },
    fused_activation_function: { type: "string", value: new TextEncoder().encode("RELU") },
  });
  expect(graph.nodes[2]?.attributes).toEqual({ beta: { type: "float", value: 1 } });
});

test("graphs of control flow, signatures, description and metadata are kept", async () => {
  const model = await reopen(controlFlowModel());
  const { subgraphs, signatures, description, metadata } = tfliteExtra(model);
  expect(subgraphs.map(({ name }) => name)).toEqual(["condition", "body", "other"]);
  expect(signatures?.[0]).toMatchObject({ key: "serving_default", outputs: [{ name: "to", value: "end" }] });
  expect(signatures?.[1]).toMatchObject({ key: "step", subgraph: 2, outputs: [{ name: "o", value: "next" }] });
  expect(description).toBe("counts");
  expect(model.metadata).toEqual({ min_runtime_version: "2.3.0" });
  expect(metadata?.map(({ name, text }) => [name, text])).toEqual([
    ["blob", undefined],
    ["min_runtime_version", "2.3.0"],
  ]);
});

test("texts of metadata can be changed, added and removed", async () => {
  const model = await reopen(controlFlowModel());
  const changed = await reopen({ ...model, metadata: { min_runtime_version: "9", license: "MIT" } });
  expect(changed.metadata).toEqual({ min_runtime_version: "9", license: "MIT" });
  const removed = await reopen({ ...model, metadata: {} });
  expect(tfliteExtra(removed).metadata?.map(({ name }) => name)).toEqual(["blob"]);
});

test("custom ops, options, state, intermediates and omitted inputs are kept", async () => {
  const { graph } = await reopen(customModel());
  const [custom, lstm] = graph.nodes;
  expect(custom).toMatchObject({ op: "MyOp", domain: "custom", inputs: ["x", ""] });
  expect(nodeExtra(custom!)).toMatchObject({ customOptions: Uint8Array.of(1, 2, 3), asRead: { version: 7 } });
  expect(nodeExtra(lstm!)).toMatchObject({ intermediates: ["inner"], mutatingVariableInputs: [false, false, true] });
  expect(graph.opaque).toEqual(["state"]);
});

test("sparse tensors and strings are constants without a noun; blocks name the tensor of their scales", async () => {
  const { graph } = await reopen(weightsModel());
  expect(graph.opaque).toEqual(expect.arrayContaining(["sparse", "names"]));
  expect(graph.tensors.get("w")).toMatchObject({
    dtype: "int4",
    quantization: { blocks: { scales: "scales", size: 32 } },
  });
  const { data, asRead } = tensorExtra(graph.values.get("sparse")!);
  expect(new Float32Array((await readAll(data!)).slice().buffer)).toEqual(Float32Array.of(1, 2, 3));
  expect(asRead?.sparsity?.traversal_order).toEqual([0, 1]);
  expect(graph.values.get("names")?.dtype).toBe("string");
});

test("names are unique in the graph, and the file's own come back", async () => {
  const bytes = await bytesOf(namesModel());
  const { graph } = await readTflite(bytesSource(bytes));
  expect(graphExtra(graph).order).toEqual(["x", "x_1", "tensor_2"]);
  const tree = (await treeOf(bytes)) as { subgraphs: { tensors: { name?: string }[] }[] };
  expect(tree.subgraphs[0]?.tensors.map(({ name }) => name)).toEqual(["x", "x", undefined]);
});

test("an op whose types changed gets the version they ask for, one whose types are as read keeps its own", async () => {
  const float = tfliteModel({
    inputs: [valueInfo("x", "float32", [1, 4])],
    outputs: [valueInfo("y", "float32", [1, 2])],
    nodes: [node("FULLY_CONNECTED", ["x", "w", ""], ["y"]), node("TANH", ["x"], ["t"])],
    tensors: [tensor("w", "float32", [2, 4], new Float32Array(8))],
    values: [valueInfo("t", "float32", [1, 4])],
  });
  const read = await reopen(float);
  expect(read.graph.nodes.map((made) => nodeExtra(made).asRead?.version)).toEqual([1, 1]);
  const weights = { ...read.graph.tensors.get("w")!, ...tensor("w", "int8", [2, 4], new Int8Array(8)) };
  const graph = {
    ...read.graph,
    inputs: [int8Value("x", [1, 4])],
    outputs: [int8Value("y", [1, 2])],
    tensors: new Map([["w", weights]]),
  };
  const changed = await reopen({ ...read, graph });
  expect(changed.graph.nodes.map((made) => nodeExtra(made).asRead?.version)).toEqual([4, 2]);
  expect(changed.graph.tensors.get("w")).toMatchObject({ dtype: "int8", data: { size: 8 } });
  expect(modelTable(changed).operator_codes).toHaveLength(2);
});

test("equal constants are stored once, buffers are aligned to 16 bytes, and buffer 0 is empty", async () => {
  const constant = (name: string) => tensor(name, "float32", [64], new Float32Array(64).fill(7));
  const model = tfliteModel({
    inputs: [valueInfo("x", "float32", [64])],
    outputs: [valueInfo("z", "float32", [64])],
    nodes: [node("ADD", ["x", "a"], ["y"]), node("MUL", ["y", "b"], ["z"])],
    tensors: [constant("a"), constant("b")],
    values: [valueInfo("y", "float32", [64])],
  });
  const bytes = await bytesOf(model);
  const seven = Buffer.from(Float32Array.of(7, 7, 7, 7).buffer);
  const at = Buffer.from(bytes).indexOf(seven);
  expect(at % 16).toBe(0);
  expect(bytes.length - at).toBe(256);
  expect(modelTable(model).buffers?.[0]).toEqual({});
});
