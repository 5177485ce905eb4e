/** Files that are damaged on purpose: each is refused with what is wrong and where, none is half read. */
import { expect, test } from "vitest";
import { node, tensor, tfliteModel, valueInfo } from "../../ir/build.ts";
import type { Model } from "../../ir/model.ts";
import { type ByteSource, bytesSource } from "../../ir/source.ts";
import { FewbitError } from "../../numeric/errors.ts";
import { checkTflite } from "./check.ts";
import { BUFFER_ALIGNMENT } from "./limits.ts";
import { bytesOf, controlFlowModel, convModel, weightsModel } from "./models.case.ts";
import { readTflite } from "./read.ts";
import { ROWS, TABLES, type Table, type TableName, UNIONS } from "./schema.ts";
import { writeRoot } from "./table-write.ts";
import { encodeTflite, modelTable } from "./write.ts";

async function refused(source: ByteSource): Promise<FewbitError> {
  const error = await readTflite(source).then(
    () => new Error("it was read"),
    (thrown: unknown) => thrown as Error,
  );
  expect(error, error.message).toBeInstanceOf(FewbitError);
  return error as FewbitError;
}

const refusedBytes = (bytes: Uint8Array): Promise<FewbitError> => refused(bytesSource(bytes));

async function bytesOfTable(table: Table<"Model">): Promise<Uint8Array> {
  const { size, pieces } = writeRoot(table);
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const piece of pieces) {
    const part = piece instanceof Uint8Array ? piece : await piece.read(0, piece.size);
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

// biome-ignore lint/suspicious/noExplicitAny: the point is to put wrong things in it
type Loose = Record<string, any>;

/** A tree that can be changed without changing the original; bytes are shared. */
function copyOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(copyOf);
  const isTable = typeof value === "object" && value !== null && !(value instanceof Uint8Array) && !("read" in value);
  return isTable ? Object.fromEntries(Object.entries(value).map(([key, item]) => [key, copyOf(item)])) : value;
}

/** The error for a model's tables with some of them changed. */
async function refusedTable(model: Model, change: (table: Loose) => void): Promise<FewbitError> {
  const table = copyOf(modelTable(model)) as Loose;
  change(table);
  return refusedBytes(await bytesOfTable(table as Table<"Model">));
}

const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Where the field of a table lies in a file. */
function fieldAt(bytes: Uint8Array, table: number, name: TableName, key: string): number {
  const file = view(bytes);
  const vtable = table - file.getInt32(table, true);
  const { slot, kind } = ROWS[name].find((row) => row.key === key)!;
  return table + file.getUint16(vtable + 4 + 2 * (kind.is === "union" ? slot + 1 : slot), true);
}
const follow = (bytes: Uint8Array, at: number): number => at + view(bytes).getUint32(at, true);
const rootOf = (bytes: Uint8Array): number => follow(bytes, 0);
const subgraphOf = (bytes: Uint8Array): number =>
  follow(bytes, follow(bytes, fieldAt(bytes, rootOf(bytes), "Model", "subgraphs")) + 4);
const firstOf = (bytes: Uint8Array, key: "tensors" | "operators"): number =>
  follow(bytes, follow(bytes, fieldAt(bytes, subgraphOf(bytes), "SubGraph", key)) + 4);

test("no table of the schema holds one of its own kind, so that nesting ends", () => {
  const inside = (name: TableName, around: readonly TableName[]): void => {
    expect(around, name).not.toContain(name);
    for (const { kind } of ROWS[name]) {
      if (kind.is === "table" || kind.is === "tables") inside(kind.of, [...around, name]);
      if (kind.is === "union") for (const member of UNIONS[kind.of]) inside(member, [...around, name]);
    }
  };
  inside("Model", []);
  expect(Object.keys(TABLES)).toHaveLength(170);
});

test.each([
  ["nothing", "", "a file of 0 bytes is too short"],
  ["four bytes", "TFL3", "a file of 4 bytes is too short"],
  ["another identifier", "\x1c\0\0\0TFL2\0\0\0\0", 'the file has "TFL2" at byte 4 where "TFL3" was expected'],
  ["a header alone", "\x1c\0\0\0TFL3", "an offset leads to byte 28 of a file of 8"],
  ["a root inside the header", "\x04\0\0\0TFL3\0\0\0\0\0\0\0\0", "damaged"],
])("%s is refused", async (_, text, message) => {
  const error = await refusedBytes(Uint8Array.from(text, (char) => char.charCodeAt(0)));
  expect(error.code).toBe("format");
  expect(error.message).toContain(message);
});

test("every truncation is refused", async () => {
  const bytes = await bytesOf(controlFlowModel());
  for (let length = 0; length < bytes.length - BUFFER_ALIGNMENT; length += 7)
    expect((await refusedBytes(bytes.slice(0, length))).code).toBe("format");
});

test.each<[string, (bytes: Uint8Array) => number, number, string]>([
  ["an offset outside the file", firstOffset("shape"), 0x7ffffff0, "shape of Tensor would lie at bytes"],
  ["an offset of zero", firstOffset("shape"), 0, "the offset of shape of Tensor"],
  ["an offset that is not aligned", firstOffset("name"), 0x41, "is not aligned to 4 bytes"],
  ["a vector longer than the file", firstVector("shape"), 0x3fffffff, "1073741823 elements"],
  ["a string longer than the file", firstVector("name"), 0xffffffff, "4294967295 elements"],
  ["a string without an end", firstVector("name"), 0, "has no zero byte at its end"],
  ["a layout outside the file", (bytes) => firstOf(bytes, "tensors"), 0x7ffffffe, "the layout of Tensor would lie at"],
  ["a layout that is not aligned", (bytes) => firstOf(bytes, "tensors"), 1, "the layout of Tensor at byte"],
])("%s is refused", async (_, at, value, message) => {
  const bytes = await bytesOf(weightsModel());
  view(bytes).setUint32(at(bytes), value, true);
  const error = await refusedBytes(bytes);
  expect(error.code).toBe("format");
  expect(error.message).toContain(message);
});

function firstOffset(key: string): (bytes: Uint8Array) => number {
  return (bytes) => fieldAt(bytes, firstOf(bytes, "tensors"), "Tensor", key);
}
function firstVector(key: string): (bytes: Uint8Array) => number {
  return (bytes) => follow(bytes, firstOffset(key)(bytes));
}

test("a field behind the end of its table is refused", async () => {
  const bytes = await bytesOf(convModel());
  const table = firstOf(bytes, "tensors");
  view(bytes).setUint16(table - view(bytes).getInt32(table, true) + 4, 0x7ffc, true);
  expect((await refusedBytes(bytes)).message).toContain("shape of Tensor lies at byte 32764 of a table of");
});

test("a table that leads back to one around it is read as what it should be, and refused", async () => {
  const bytes = await bytesOf(convModel());
  const field = fieldAt(bytes, subgraphOf(bytes), "SubGraph", "tensors");
  view(bytes).setUint32(field, 4 * Math.ceil((0xffffffff - field) / 4) - field + rootOf(bytes), true);
  expect((await refusedBytes(bytes)).code).toBe("format");
});

test("a union of an unknown type is refused, and one with a type but no table", async () => {
  const bytes = await bytesOf(convModel());
  const operator = firstOf(bytes, "operators");
  const slot = ROWS.Operator.find(({ key }) => key === "builtin_options")!.slot;
  const vtable = operator - view(bytes).getInt32(operator, true);
  const at = operator + view(bytes).getUint16(vtable + 4 + slot * 2, true);
  bytes[at] = 200;
  expect((await refusedBytes(bytes)).message).toContain("is of type 200; this version of fewbit knows 1 to 126");
  view(bytes).setUint16(vtable + 6 + slot * 2, 0, true);
  expect((await refusedBytes(bytes)).message).toContain("has type 200 but no table");
});

test("names that are not text are refused", async () => {
  const bytes = await bytesOf(convModel());
  bytes[firstVector("name")(bytes) + 4] = 0xff;
  expect((await refusedBytes(bytes)).message).toContain("name of Tensor at byte");
});

test.each<[string, () => Model, (table: Loose) => void, string]>([
  ["another schema version", convModel, (t) => (t.version = 4), "schema version 4; only version 3"],
  ["no graph", convModel, (t) => (t.subgraphs = []), "the file has no subgraph"],
  ["an unknown op", convModel, (t) => (t.operator_codes[0].builtin_code = 999), "is builtin op 999; this version"],
  [
    "an unknown op version",
    convModel,
    (t) => (t.operator_codes[0].version = 77),
    "has version 77 of CONV_2D; versions 1 to 8",
  ],
  ["an op version of zero", convModel, (t) => (t.operator_codes[0].version = 0), "has version 0 of CONV_2D"],
  ["an unknown type", convModel, (t) => (t.subgraphs[0].tensors[0].type = 99), "is of type 99"],
  [
    "an unknown operator code",
    convModel,
    (t) => (t.subgraphs[0].operators[0].opcode_index = 9),
    "is 9, but there are 3 operator codes",
  ],
  [
    "an input that does not exist",
    convModel,
    (t) => (t.subgraphs[0].operators[0].inputs[1] = 99),
    "an input of operator 0 (CONV_2D) of subgraph 0 is 99, but there are",
  ],
  ["a negative input", convModel, (t) => (t.subgraphs[0].operators[0].inputs[1] = -2), "is -2, but there are"],
  [
    "a buffer that does not exist",
    convModel,
    (t) => (t.subgraphs[0].tensors[1].buffer = 50),
    "is 50, but there are 4 buffers",
  ],
  [
    "a dimension of -1 in the shape",
    convModel,
    (t) => (t.subgraphs[0].tensors[0].shape = [-1, 4, 4, 1]),
    "has a dimension of -1 in its shape",
  ],
  [
    "65 dimensions",
    convModel,
    (t) => (t.subgraphs[0].tensors[0].shape = Array(65).fill(1)),
    "has 65 dimensions; at most 64",
  ],
  [
    "a constant of the wrong size",
    convModel,
    (t) => (t.subgraphs[0].tensors.find((x: Loose) => x.name === "b").shape = [3]),
    "has 8 bytes, but int32[3] needs 12",
  ],
  [
    "scales that do not fit the axis",
    convModel,
    (t) => (t.subgraphs[0].tensors.find((x: Loose) => x.name === "w").quantization.scale = [1, 2, 3]),
    "has 3 scales",
  ],
  [
    "an axis that does not exist",
    convModel,
    (t) => (t.subgraphs[0].tensors.find((x: Loose) => x.name === "w").quantization.quantized_dimension = 4),
    "is quantized along axis 4, but has 4 dimensions",
  ],
  [
    "an infinite scale",
    convModel,
    (t) => (t.subgraphs[0].tensors[0].quantization.scale = [Number.POSITIVE_INFINITY]),
    "has a scale of Infinity",
  ],
  [
    "a missing block scale",
    weightsModel,
    (t) => (t.subgraphs[0].tensors.find((x: Loose) => x.name === "w").quantization.details.value.scales = 77),
    "is 77, but there are",
  ],
  [
    "blocks that do not divide",
    weightsModel,
    (t) => (t.subgraphs[0].tensors.find((x: Loose) => x.name === "w").quantization.details.value.block_size = 48),
    "in blocks of 48, which do not divide its last axis of length 64",
  ],
  [
    "segments that do not fit",
    weightsModel,
    (t) =>
      (t.subgraphs[0].tensors.find(
        (x: Loose) => x.name === "sparse",
      ).sparsity.dim_metadata[1].array_segments.value.values = [0, 1, 1, 2]),
    "its segments do not fit its indices",
  ],
  [
    "a signature of a missing graph",
    controlFlowModel,
    (t) => (t.signature_defs[0].subgraph_index = 9),
    "is 9, but there are 4 subgraphs",
  ],
  [
    "a signature of a missing tensor",
    controlFlowModel,
    (t) => (t.signature_defs[0].inputs[0].tensor_index = 9),
    "a tensor of signature",
  ],
  [
    "a missing branch",
    controlFlowModel,
    (t) => (t.subgraphs[0].operators[1].builtin_options.value.else_subgraph_index = 9),
    "runs subgraph 9, but there are 4",
  ],
  [
    "a loop that runs itself",
    controlFlowModel,
    (t) => (t.subgraphs[0].operators[0].builtin_options.value.body_subgraph_index = 0),
    "runs itself without end",
  ],
  ["operators in the wrong order", convModel, (t) => t.subgraphs[0].operators.reverse(), "before it is made"],
])("%s is refused", async (_, make, change, message) => {
  expect((await refusedTable(make(), change)).message).toContain(message);
});

test("a buffer shared by tensors of different types is refused, one shared by tensors of one type is not", async () => {
  const share = (dtype: "int8" | "uint8"): Model => {
    const bytes = Int8Array.of(1, 2);
    return tfliteModel({
      inputs: [valueInfo("x", "int8", [2])],
      outputs: [valueInfo("y", "int8", [2])],
      nodes: [node("ADD", ["x", "a"], ["s"]), node("ADD", ["s", "b"], ["y"])],
      tensors: [tensor("a", "int8", [2], bytes), tensor("b", dtype, [2], bytes)],
      values: [valueInfo("s", "int8", [2])],
    });
  };
  const point = (t: Loose): void => {
    const { tensors } = t.subgraphs[0];
    const [a, b] = ["a", "b"].map((name) => tensors.find((made: Loose) => made.name === name));
    b.buffer = a.buffer;
  };
  const { message } = await refusedTable(share("uint8"), point);
  expect(message).toContain('"a" (int8) and "b" (uint8) share a buffer');
  await expect(refusedTable(share("int8"), point)).rejects.toThrow("it was read");
});

test.each([
  [[2, 0, 0, 0, 12, 0, 0, 0, 14, 0, 0, 0, 104, 105], "a count of 2 in 14 bytes"],
  [[1, 0, 0, 0, 8, 0, 0, 0, 14, 0, 0, 0, 104, 105], "string 0 at byte 8 of 14"],
  [[1, 0, 0, 0, 12, 0, 0, 0, 99, 0, 0, 0, 104, 105], "string 1 at byte 99 of 14"],
  [[255, 255, 255, 255, 12, 0, 0, 0], "a count of -1 in 8 bytes"],
  [[0, 0, 0, 127, 12, 0, 0, 0], "a count of 2130706432 in 8 bytes"],
  [[1, 0], "2 bytes, too few"],
])("strings of bytes %j are refused", async (bytes, message) => {
  const strings = bytesSource(Uint8Array.from(bytes));
  const { message: found } = await refusedTable(weightsModel(), (t) => {
    const { buffer } = t.subgraphs[0].tensors.find((made: Loose) => made.name === "names");
    t.buffers[buffer].data = strings;
  });
  expect(found).toContain(message);
});

test("a batch of -1 in the signature is an unknown length, and comes back", async () => {
  const { graph } = await readTflite(bytesSource(await bytesOf(convModel())));
  expect(graph.inputs[0]?.shape).toEqual([null, 4, 4, 1]);
  const { subgraphs } = modelTable({ ...convModel(), graph });
  expect(subgraphs?.[0]?.tensors?.[0]).toMatchObject({ shape: [1, 4, 4, 1], shape_signature: [-1, 4, 4, 1] });
});

test("a table reached thousands of times does not turn into millions", async () => {
  const operator = { inputs: Array(1000).fill(-1) };
  const many = { operators: Array(3000).fill({}) };
  const bytes = await bytesOfTable({ version: 3, subgraphs: [{ operators: [operator] }, many] });
  const shared = firstOf(bytes, "operators");
  const second = follow(bytes, follow(bytes, fieldAt(bytes, rootOf(bytes), "Model", "subgraphs")) + 8);
  const list = follow(bytes, fieldAt(bytes, second, "SubGraph", "operators"));
  for (let i = 0; i < 3000; i++) view(bytes).setUint32(list + 4 + 4 * i, shared - (list + 4 + 4 * i), true);
  const error = await refusedBytes(bytes);
  expect(error.code).toBe("limit");
  expect(error.message).toContain("numbers in vectors");
});

test("a buffer kept behind the flatbuffer is read, and one that would lie outside the file is refused", async () => {
  const table = modelTable(convModel());
  const data = Uint8Array.from({ length: 18 }, (_, i) => i);
  const outside = (offset: number): Table<"Model"> => ({
    ...table,
    buffers: table.buffers!.map((buffer) => (buffer.data?.size === 18 ? { offset, size: 18 } : buffer)),
  });
  const start = (await bytesOfTable(outside(2))).length;
  const bytes = new Uint8Array(start + 18);
  bytes.set(await bytesOfTable(outside(start)));
  bytes.set(data, start);
  const model = await readTflite(bytesSource(bytes));
  expect(await model.graph.tensors.get("w")?.data.read(0, 18)).toEqual(data);
  const anew = await readTflite(bytesSource(await bytesOf({ ...model })));
  expect(await anew.graph.tensors.get("w")?.data.read(0, 18)).toEqual(data);
  expect((await refusedBytes(bytes.subarray(0, start + 17))).message).toContain("is said to have 18 bytes at");
});

test("weights stay where they are: only the structure of a file is read", async () => {
  const model = tfliteModel({
    inputs: [valueInfo("x", "float32", [1, 1000])],
    outputs: [valueInfo("y", "float32", [1, 1000])],
    nodes: [node("FULLY_CONNECTED", ["x", "w", ""], ["y"])],
    tensors: [
      tensor(
        "w",
        "float32",
        [1000, 1000],
        Float32Array.from({ length: 1_000_000 }, (_, i) => i),
      ),
    ],
  });
  const memory = bytesSource(await bytesOf(model));
  let read = 0;
  const counted: ByteSource = {
    size: memory.size,
    seekable: true,
    read: (offset, length) => {
      read += length;
      return memory.read(offset, length);
    },
  };
  const { graph } = await readTflite(counted);
  expect(read).toBeLessThan(256 * 1024);
  const part = await graph.tensors.get("w")!.data.read(4 * 999_999, 4);
  expect(new Float32Array(part.slice().buffer)).toEqual(Float32Array.of(999_999));
});

test("a file of many constants is read in few parts", async () => {
  const names = Array.from({ length: 200 }, (_, i) => `c${i}`);
  const model = tfliteModel({
    inputs: [valueInfo("x", "float32", [2000])],
    outputs: [valueInfo("y", "float32", [2000])],
    nodes: [node("ADD_N", ["x", ...names], ["y"])],
    tensors: names.map((name, i) => tensor(name, "float32", [2000], new Float32Array(2000).fill(i))),
  });
  const { size, read } = bytesSource(await bytesOf(model));
  let reads = 0;
  const counted: ByteSource = {
    size,
    seekable: true,
    read(offset, length) {
      reads++;
      return read.call(this, offset, length);
    },
  };
  await readTflite(counted);
  expect(reads).toBeLessThan(300);
});

test("a structure inside the data of a buffer is refused", async () => {
  const model = tfliteModel({
    inputs: [valueInfo("x", "float32", [1, 50])],
    outputs: [valueInfo("y", "float32", [1, 50])],
    nodes: [node("FULLY_CONNECTED", ["x", "w", ""], ["y"])],
    tensors: [tensor("w", "float32", [50, 50], new Float32Array(2500))],
  });
  const bytes = await bytesOf(model);
  const at = firstOffset("name")(bytes);
  view(bytes).setUint32(at, bytes.length - 400 - at, true);
  expect((await refusedBytes(bytes)).message).toContain("lies inside the data of a buffer");
});

test("a model of more than 2 GiB is refused before anything is written", () => {
  const data = { size: 2 ** 31, read: async () => new Uint8Array() };
  const huge = { name: "w", dtype: "int8", shape: [2 ** 31], data } as const;
  const model = tfliteModel({
    inputs: [valueInfo("x", "int8", [1])],
    outputs: [valueInfo("y", "int8", [1])],
    nodes: [node("ADD", ["x", "w"], ["y"])],
    tensors: [huge],
  });
  expect(() => encodeTflite(model)).toThrow("a flatbuffer can have 2147483647");
});

test.each<[string, Parameters<typeof tfliteModel>[0]["nodes"][number], string]>([
  [
    "an unknown attribute",
    node("ADD", ["x", "x"], ["y"], { attributes: { axis: 1 } }),
    'has the attribute "axis", which is not one of AddOptions',
  ],
  [
    "an attribute of another type",
    node("ADD", ["x", "x"], ["y"], { attributes: { fused_activation_function: 1.5 } }),
    "expected the name of a value",
  ],
  [
    "an unknown name",
    node("ADD", ["x", "x"], ["y"], { attributes: { fused_activation_function: "GELU" } }),
    "expected one of NONE, RELU",
  ],
  ["an op of another container", node("Conv", ["x", "x"], ["y"]), "which is no builtin op of TFLite"],
  ["an undeclared value", node("ADD", ["x", "nowhere"], ["y"]), '"nowhere" of subgraph 0 has no declared type'],
])("%s can't be written", (_, made, message) => {
  const io = { inputs: [valueInfo("x", "float32", [1])], outputs: [valueInfo("y", "float32", [1])] };
  expect(() => encodeTflite(tfliteModel({ ...io, nodes: [made] }))).toThrow(message);
});

test("the check counts what it does not list", () => {
  const names = Array.from({ length: 60 }, (_, i) => `y${i}`);
  const model = tfliteModel({
    inputs: [valueInfo("x", "float32", [1])],
    outputs: [],
    nodes: names.map((name) => node("NOPE", ["x"], [name])),
  });
  expect(checkTflite(model)).toHaveLength(51);
  expect(checkTflite(model).at(-1)).toBe("10 more of this kind");
});
