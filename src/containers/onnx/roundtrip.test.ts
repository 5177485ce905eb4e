import { expect, test } from "vitest";
import { floatTensor, node, onnxModel, valueInfo } from "../../ir/build.ts";
import { checkModel } from "../../ir/check.ts";
import type { Model, Tensor } from "../../ir/model.ts";
import { bytesSource, computedSource, readAll, sliceSource } from "../../ir/source.ts";
import { DTYPES, type DType } from "../../numeric/dtypes.ts";
import { encodeOnnx, isUnchanged, readOnnx } from "./index.ts";
import {
  allBytes,
  anyTensor,
  bytesField,
  intField,
  message,
  modelAround,
  raw,
  richModel,
  smallModel,
} from "./models.case.ts";
import { contentOf, fromBytes, fromFiles, toBytes, toFiles, withoutOrigins } from "./roundtrip.case.ts";

const weight = (model: Model, name = "w"): Tensor => model.graph.tensors.get(name) ?? expect.unreachable(name);
const bytesOf = async (tensor: Tensor): Promise<number[]> => [...(await readAll(tensor.data))];

test("a model with sub-graphs, functions, every element type and attribute reads back as it was", async () => {
  const model = richModel();
  expect(checkModel(model)).toEqual([]);
  const bytes = await toBytes(model);
  const read = await fromBytes(bytes);
  expect(checkModel(read)).toEqual([]);
  expect(await contentOf(read)).toEqual(await contentOf({ ...model, producer: { name: "fewbit", version: "" } }));
});

test("an unchanged model is copied, and a copy without origin is encoded to the same bytes", async () => {
  const bytes = await toBytes(richModel());
  const read = await fromBytes(bytes);
  expect(isUnchanged(read)).toBe(true);
  expect(Buffer.compare(await toBytes(read), bytes)).toBe(0);
  const copy = withoutOrigins(read);
  expect(isUnchanged(copy)).toBe(false);
  expect(Buffer.compare(await toBytes(copy), bytes)).toBe(0);
});

test("negative, huge and not exact integers keep their value", async () => {
  const values = [0, -1, 127, 128, 2 ** 31, -(2 ** 31), 2 ** 53 - 1, -(2 ** 53) + 1, 2n ** 63n - 1n, -(2n ** 63n)];
  const nodes = [node("N", ["x"], ["y"], { attributes: { v: { type: "ints", value: values } } })];
  const model = onnxModel({ inputs: [valueInfo("x")], outputs: [valueInfo("y")], nodes });
  const read = await fromBytes(await toBytes(model));
  expect(read.graph.nodes[0]?.attributes.v).toEqual({ type: "ints", value: values });
});

/** Graph with one initializer written field by field. */
const withTensor = (...fields: Uint8Array[]): Promise<Model> =>
  fromBytes(modelAround(message("GraphProto", { name: "g", initializer: [raw(...fields)] })));

const varints = (values: readonly number[]): Uint8Array => {
  const fields = values.map((value) => intField(1, value).subarray(1));
  return Buffer.concat(fields);
};

const FIELD = { floatData: 4, int32Data: 5, int64Data: 7, doubleData: 10, uint64Data: 11 };
const TYPED: readonly (readonly [DType, number, number, keyof typeof FIELD, Uint8Array, readonly number[]])[] = [
  ["float32", 1, 2, "floatData", new Uint8Array(Float32Array.of(1, -2).buffer), [0, 0, 128, 63, 0, 0, 0, 192]],
  ["float64", 11, 1, "doubleData", new Uint8Array(Float64Array.of(1).buffer), [0, 0, 0, 0, 0, 0, 240, 63]],
  ["complex64", 14, 1, "floatData", new Uint8Array(Float32Array.of(1, 0).buffer), [0, 0, 128, 63, 0, 0, 0, 0]],
  ["int32", 6, 2, "int32Data", varints([-2, 300]), [254, 255, 255, 255, 44, 1, 0, 0]],
  ["int16", 5, 2, "int32Data", varints([-2, 300]), [254, 255, 44, 1]],
  ["uint16", 4, 1, "int32Data", varints([65535]), [255, 255]],
  ["int8", 3, 2, "int32Data", varints([-128, 127]), [128, 127]],
  ["uint8", 2, 2, "int32Data", varints([0, 255]), [0, 255]],
  ["bool", 9, 2, "int32Data", varints([1, 0]), [1, 0]],
  ["float16", 10, 2, "int32Data", varints([0x3c00, 0xc000]), [0, 0x3c, 0, 0xc0]],
  ["bfloat16", 16, 1, "int32Data", varints([0x3f80]), [0x80, 0x3f]],
  ["float8e4m3fn", 17, 2, "int32Data", varints([0x38, 0xb8]), [0x38, 0xb8]],
  ["float8e8m0", 24, 1, "int32Data", varints([127]), [127]],
  ["uint4", 21, 3, "int32Data", varints([0x21, 0x03]), [0x21, 0x03]],
  ["int4", 22, 2, "int32Data", varints([0xf8]), [0xf8]],
  ["float4e2m1", 23, 2, "int32Data", varints([0x72]), [0x72]],
  ["int2", 26, 5, "int32Data", varints([0xe4, 0x01]), [0xe4, 0x01]],
  // Four 6-bit elements 1, 2, 3, 63 in three bytes, low bits first, then one alone.
  ["float6e2m3", 27, 5, "int32Data", varints([1, 2, 3, 63, 33]), [0x81, 0x30, 0xfc, 33]],
  ["int64", 7, 2, "int64Data", varints([-1, 5]), [255, 255, 255, 255, 255, 255, 255, 255, 5, 0, 0, 0, 0, 0, 0, 0]],
  ["uint32", 12, 1, "uint64Data", varints([2 ** 32 - 1]), [255, 255, 255, 255]],
  ["uint64", 13, 1, "uint64Data", varints([2 ** 40]), [0, 0, 0, 0, 0, 1, 0, 0]],
];

test.each(TYPED)("%s elements in a typed field (type %i, %i elements, %s) become raw bytes", async (...row) => {
  const [dtype, code, count, field, data, expected] = row;
  const model = await withTensor(
    intField(1, count),
    intField(2, code),
    bytesField(FIELD[field], data),
    bytesField(8, "w"),
  );
  expect(weight(model).dtype).toBe(dtype);
  expect(await bytesOf(weight(model))).toEqual(expected);
  const copy = await fromBytes(await toBytes(withoutOrigins(model)));
  expect(await bytesOf(weight(copy))).toEqual(expected);
});

test("typed elements may come one by one or in several packed parts", async () => {
  const parts = [intField(5, 1), bytesField(5, varints([2, 3])), intField(5, -1)];
  const model = await withTensor(intField(1, 4), intField(2, 3), ...parts, bytesField(8, "w"));
  expect(await bytesOf(weight(model))).toEqual([1, 2, 3, 255]);
});

test.each([
  ["too few typed numbers", [intField(1, 3), intField(2, 6), bytesField(5, varints([1, 2]))], "2 numbers"],
  ["too many typed numbers", [intField(1, 1), intField(2, 6), bytesField(5, varints([1, 2]))], "2 numbers"],
  ["typed floats of the wrong number", [intField(1, 3), intField(2, 1), bytesField(4, new Uint8Array(8))], "8 bytes"],
  ["raw data of the wrong size", [intField(1, 3), intField(2, 1), bytesField(9, new Uint8Array(8))], "8 bytes"],
  ["no data at all", [intField(1, 3), intField(2, 1)], "0 bytes"],
  ["the wrong number of strings", [intField(1, 3), intField(2, 8), bytesField(6, "a")], "1 strings"],
  ["a negative dimension", [intField(1, -1), intField(2, 1)], "dimension -1"],
  ["dimensions that overflow", [intField(1, 2 ** 40), intField(1, 2 ** 40), intField(2, 1)], "overflows"],
  ["an unknown element type", [intField(1, 1), intField(2, 99)], "element type 99"],
  ["no element type", [intField(1, 1)], "no element type"],
  ["too many dimensions", [...Array.from({ length: 65 }, () => intField(1, 1)), intField(2, 1)], "65 dimensions"],
])("a tensor with %s is refused by name", async (_, fields, complaint) => {
  await expect(withTensor(...fields, bytesField(8, "w"))).rejects.toThrow(complaint);
  await expect(withTensor(...fields, bytesField(8, "w"))).rejects.toThrow('tensor "w"');
});

test("initializers without a name, or two of one name, are refused", async () => {
  const one = allBytes(message("TensorProto", { dims: [0], dataType: 1, name: "w" }));
  await expect(withTensor(intField(1, 0), intField(2, 1))).rejects.toThrow("no name");
  const twice = modelAround(message("GraphProto", { initializer: [raw(one), raw(one)] }));
  await expect(fromBytes(twice)).rejects.toThrow('"w" is there twice');
});

test("weights are not read while the structure is, and large ones are read in pieces when written", async () => {
  const data = new Uint8Array(20 * 1024 * 1024).fill(7);
  const bytes = await toBytes(
    smallModel({ ...floatTensor("w", [], [0]), shape: [data.length / 4], data: bytesSource(data) }),
  );
  const reads: number[] = [];
  const source = {
    size: bytes.length,
    seekable: true as const,
    read(offset: number, length: number) {
      reads.push(length);
      return bytesSource(bytes).read(offset, length);
    },
  };
  const model = await readOnnx(source);
  expect(reads.reduce((sum, length) => sum + length, 0)).toBeLessThan(200_000);
  reads.length = 0;
  expect(Buffer.compare(await toBytes({ ...model, metadata: {} }), bytes)).toBe(0);
  expect(Math.max(...reads)).toBe(8 * 1024 * 1024);
});

test("a computed tensor is computed once when written", async () => {
  let times = 0;
  const data = computedSource(10_000_000, () => {
    times++;
    return new Uint8Array(10_000_000);
  });
  await toBytes(smallModel({ name: "w", dtype: "uint8", shape: [10_000_000], data }));
  expect(times).toBe(1);
});

test("a computed tensor of the wrong size stops the writing", async () => {
  const data = { size: 8, read: async () => new Uint8Array(4) };
  await expect(toBytes(smallModel({ name: "w", dtype: "float32", shape: [2], data }))).rejects.toThrow("promised");
});

const UNKNOWN = 4321;
const unknownField = bytesField(UNKNOWN, "from the future");

/** A model in which every message has fields that fewbit has no noun for. */
const futureModel = (): Uint8Array => {
  const unknown = { id: UNKNOWN, data: unknownField };
  const metadata = [message("StringStringEntryProto", { key: "k", value: "v" })];
  const rest = [unknown];
  const dim = message("Dimension", { dimValue: 2, denotation: "DATA_BATCH" });
  const tensorType = message("TypeTensor", { elemType: 1, shape: message("TensorShapeProto", { dim: [dim] }) });
  const type = message("TypeProto", { tensorType, denotation: "IMAGE", rest });
  const tensor = message("TensorProto", {
    dims: [2],
    dataType: 1,
    name: "w",
    rawData: bytesSource(new Uint8Array(8)),
    metadataProps: metadata,
    rest,
  });
  const sparse = message("SparseTensorProto", {
    values: message("TensorProto", { dims: [1], dataType: 1, name: "sparse", rawData: bytesSource(new Uint8Array(4)) }),
    indices: message("TensorProto", { dims: [1], dataType: 7, rawData: bytesSource(new Uint8Array(8)) }),
  });
  const graph = message("GraphProto", {
    name: "g",
    node: [
      message("NodeProto", {
        input: ["x", "sparse"],
        output: ["y"],
        opType: "Add",
        name: "add",
        overload: "fast",
        metadataProps: metadata,
        attribute: [message("AttributeProto", { name: "r", refAttrName: "outer", type: 1, rest })],
        rest,
      }),
    ],
    initializer: [tensor],
    sparseInitializer: sparse,
    input: [message("ValueInfoProto", { name: "x", type, metadataProps: metadata, rest })],
    output: [message("ValueInfoProto", { name: "y", type, rest })],
    quantizationAnnotation: message("TensorAnnotation", { tensorName: "y" }),
    rest,
  });
  return allBytes(
    message("ModelProto", {
      irVersion: 10,
      modelVersion: 3,
      docString: "text",
      graph,
      opsetImport: [message("OperatorSetIdProto", { version: 21 })],
      trainingInfo: message("TrainingInfoProto", { algorithm: graph }),
      rest,
    }),
  );
};

const occurrences = (bytes: Uint8Array, part: string): number =>
  Buffer.from(bytes).toString("latin1").split(part).length - 1;

test("fields without a noun survive edits of everything around them", async () => {
  const bytes = futureModel();
  const model = await fromBytes(bytes);
  expect(checkModel(model)).toEqual([]);
  const edited = await toBytes(withoutOrigins(model));
  for (const part of ["from the future", "DATA_BATCH", "IMAGE", "outer", "fast", "sparse"])
    expect(occurrences(edited, part), part).toBe(occurrences(bytes, part));
  expect(await contentOf(await fromBytes(edited))).toEqual(await contentOf(model));
});

test("sparse initializers count as constants of the graph", async () => {
  expect((await fromBytes(futureModel())).graph.opaque).toEqual(["sparse"]);
});

test("a value's type is written anew once element type or shape change", async () => {
  const model = await fromBytes(futureModel());
  const inputs = model.graph.inputs.map((input) => ({ ...input, dtype: "float16" as const }));
  const edited = await fromBytes(await toBytes({ ...model, graph: { ...model.graph, inputs } }));
  expect(edited.graph.inputs[0]).toMatchObject({ name: "x", dtype: "float16", shape: [2] });
});

test("groups, an old form of message, are carried along", async () => {
  const group = Uint8Array.of((50 << 3) | 3 | 0x80, 0x03, 0x08, 0x01, (50 << 3) | 4 | 0x80, 0x03);
  const bytes = modelAround(raw(bytesField(2, "g"), group));
  const model = await fromBytes(bytes);
  expect(Buffer.compare(await toBytes(withoutOrigins(model)), bytes)).toBe(0);
});

test("a second graph, where one is allowed, is refused; of two numbers the last counts", async () => {
  const once = modelAround(message("GraphProto", { name: "g" }));
  await expect(fromBytes(Buffer.concat([once, bytesField(7, "")]))).rejects.toThrow("two fields graph");
  expect((await fromBytes(Buffer.concat([once, intField(1, 12)]))).formatVersion).toBe(12);
});

test("ai.onnx is the default domain; two versions of one operator set are refused", async () => {
  const opset = (domain: string, version: number) => message("OperatorSetIdProto", { domain, version });
  const graph = message("GraphProto", { name: "g" });
  const named = allBytes(message("ModelProto", { irVersion: 8, graph, opsetImport: [opset("ai.onnx", 17)] }));
  expect((await fromBytes(named)).opsets).toEqual({ "": 17 });
  const both = message("ModelProto", { irVersion: 8, graph, opsetImport: [opset("ai.onnx", 17), opset("", 18)] });
  await expect(fromBytes(allBytes(both))).rejects.toThrow("as 17 and as 18");
});

const dataFiles = (model: Model, options: object) => toFiles(model, { external: { location: "w.data", ...options } });

const threeWeights = (): Model => ({
  ...smallModel(),
  graph: {
    ...smallModel().graph,
    tensors: new Map(
      [anyTensor("w", "uint8", 3000), anyTensor("large", "uint8", 2_000_000), anyTensor("small", "uint8", 10)].map(
        (tensor) => [tensor.name, tensor],
      ),
    ),
  },
});

test("large initializers go to an external file, aligned, and read back equal", async () => {
  const files = await dataFiles(threeWeights(), {});
  expect([...files.keys()]).toEqual(["model.onnx", "w.data"]);
  expect(files.get("model.onnx")?.length).toBeLessThan(1000);
  expect(files.get("w.data")?.length).toBe(65536 + 2_000_000);
  expect(await contentOf(await fromFiles(files))).toEqual(await contentOf(threeWeights()));
});

test("external data is divided into files of at most maxBytes, each tensor whole", async () => {
  const files = await dataFiles(threeWeights(), { maxBytes: 5000, threshold: 1 });
  expect([...files.keys()]).toEqual(["model.onnx", "w.data", "w.data_1", "w.data_2"]);
  expect(await contentOf(await fromFiles(files))).toEqual(await contentOf(threeWeights()));
});

test("initializers of sub-graphs leave the model too, constants in attributes stay", async () => {
  const files = await toFiles(richModel(), { external: { location: "w.data", threshold: 1 } });
  const read = await fromFiles(files);
  expect(await contentOf(read)).toEqual(await contentOf(await fromBytes(await toBytes(richModel()))));
  const [first] = read.graph.nodes;
  expect(first?.attributes.then_branch).toMatchObject({ type: "graph" });
  expect(Buffer.from(files.get("w.data") ?? []).includes(Buffer.from(Float32Array.of(3, 4).buffer))).toBe(true);
});

test("initializers of unchanged sub-graphs leave an edited model too", async () => {
  const read = await fromBytes(await toBytes(richModel()));
  const files = await toFiles({ ...read, metadata: {} }, { external: { location: "w.data", threshold: 1 } });
  expect(Buffer.from(files.get("w.data") ?? []).includes(Buffer.from(Float32Array.of(3, 4).buffer))).toBe(true);
  expect(Buffer.from(files.get("model.onnx") ?? []).includes(Buffer.from(Float32Array.of(3, 4).buffer))).toBe(false);
});

test("a model with external data in two files is copied whole, or embedded, or moved to a new file", async () => {
  const files = await dataFiles(threeWeights(), { maxBytes: 2_000_100, threshold: 1 });
  expect(files.size).toBe(3);
  const model = await fromFiles(files);
  for (const [name, bytes] of await toFiles(model)) expect(Buffer.compare(bytes, files.get(name)!), name).toBe(0);
  const edited = { ...model, metadata: { edited: "yes" } };
  const inside = await toFiles(edited);
  expect([...inside.keys()]).toEqual(["model.onnx"]);
  expect(await contentOf((await fromFiles(inside)).graph as never)).toEqual(await contentOf(model.graph as never));
  const moved = await toFiles(edited, { external: { location: "new.data" } });
  expect([...moved.keys()]).toEqual(["model.onnx", "new.data"]);
  expect(await contentOf((await fromFiles(moved)).graph as never)).toEqual(await contentOf(model.graph as never));
});

test("data that several tensors share is stored once", async () => {
  const data = bytesSource(new Uint8Array(4096));
  const tied = ["w", "v"].map((name) => ({ name, dtype: "uint8" as const, shape: [4096], data }));
  const model = { ...smallModel(), graph: { ...smallModel().graph, tensors: new Map(tied.map((t) => [t.name, t])) } };
  expect((await dataFiles(model, {})).get("w.data")?.length).toBe(4096);
});

test("a model beyond 2 GiB is refused with the remedy, and fits with external data", () => {
  const huge = {
    ...floatTensor("w", [], [0]),
    shape: [2 ** 29],
    data: { size: 2 ** 31, read: async () => new Uint8Array() },
  };
  expect(() => encodeOnnx(smallModel(huge))).toThrow(/2147483647.*external data file.*model\.onnx_data/);
  const { main, external } = encodeOnnx(smallModel(huge), { external: { location: "model.onnx_data" } });
  expect(main.size).toBeLessThan(1000);
  expect(external.map(({ name, size }) => [name, size])).toEqual([["model.onnx_data", 2 ** 31]]);
});

const externalTensor = (entries: Readonly<Record<string, string>>, dims = [2]): Uint8Array =>
  modelAround(
    message("GraphProto", {
      initializer: [
        message("TensorProto", {
          dims,
          dataType: 1,
          name: "w",
          dataLocation: 1,
          externalData: Object.entries(entries).map(([key, value]) =>
            message("StringStringEntryProto", { key, value }),
          ),
        }),
      ],
    }),
  );

const readExternal = (bytes: Uint8Array, size: number): Promise<Model> =>
  readOnnx(bytesSource(bytes), { external: async () => bytesSource(new Uint8Array(size)) });

test.each([
  [{ location: "../w" }, "leaves the folder"],
  [{ location: "/w" }, "absolute"],
  [{}, "is empty"],
  [{ location: "w", offset: "1" }, 'needs 9 bytes of "w", which has 8'],
  [{ location: "w", length: "4" }, "its shape needs 8"],
  [{ location: "w", offset: "-8" }, "its shape needs 8"],
  [{ location: "w", offset: "1e3" }, "its shape needs 8"],
  [{ location: "w", offset: "9007199254740991" }, "its shape needs 8"],
])("external data at %j is refused", async (entries, complaint) => {
  await expect(readExternal(externalTensor(entries), 8)).rejects.toThrow(complaint);
  await expect(readExternal(externalTensor(entries), 8)).rejects.toThrow('"w"');
});

test("external data without length takes what the shape needs; without a way to open it the error says so", async () => {
  const bytes = externalTensor({ location: "w", offset: "4" });
  const model = await readExternal(bytes, 12);
  expect(weight(model).data.size).toBe(8);
  await expect(readOnnx(bytesSource(bytes))).rejects.toThrow('kept in "w"');
});

test("an edited tensor, a slice of another's data, is written with its own bytes", async () => {
  const model = await fromBytes(await toBytes(smallModel(floatTensor("w", [4], [1, 2, 3, 4]))));
  const half = { ...weight(model), shape: [2], data: sliceSource(weight(model).data, 8, 8) };
  const tensors = new Map([["w", half]]);
  const read = await fromBytes(await toBytes({ ...model, graph: { ...model.graph, tensors } }));
  expect(await bytesOf(weight(read))).toEqual([...new Uint8Array(Float32Array.of(3, 4).buffer)]);
});

test("a tensor whose data does not fit its shape is not written", async () => {
  const bad = { ...floatTensor("w", [2], [1, 2]), shape: [3] };
  await expect(toBytes(smallModel(bad))).rejects.toThrow('tensor "w" has 8 bytes, but float32[3] needs 12');
});

test("every element type has a row", () => {
  expect(Object.keys(DTYPES)).toHaveLength(28);
});
