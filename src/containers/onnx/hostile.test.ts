/** Damaged and hostile files: one error each, or a model; never a crash, a hang, or gigabytes of memory. */
import { expect, test } from "vitest";
import { floatTensor } from "../../ir/build.ts";
import { checkModel } from "../../ir/check.ts";
import { bytesSource, readAll } from "../../ir/source.ts";
import { FewbitError } from "../../numeric/errors.ts";
import { rng } from "../../numeric/rng.ts";
import { readOnnx } from "./index.ts";
import { COUNTS } from "./limits.ts";
import { allBytes, bytesField, intField, message, modelAround, raw, richModel, smallModel } from "./models.case.ts";
import { contentOf, fromBytes, toBytes, toFiles } from "./roundtrip.case.ts";
import type { Part } from "./sink.ts";

/** The error of reading, or undefined when a model came out; anything but a `FewbitError` fails the test. */
async function errorOf(bytes: Uint8Array): Promise<FewbitError | undefined> {
  try {
    const external = async () => bytesSource(new Uint8Array(1 << 16));
    const model = await readOnnx(bytesSource(bytes), { external });
    checkModel(model);
    for (const tensor of model.graph.tensors.values()) await readAll(tensor.data);
    return undefined;
  } catch (error) {
    if (error instanceof FewbitError) return error;
    throw error;
  }
}

test("a small model cut at any byte gives one error that says the file is not whole", async () => {
  const bytes = await toBytes(smallModel());
  for (let end = 0; end < bytes.length; end++) {
    const error = await errorOf(bytes.subarray(0, end));
    expect(error?.code, `cut at ${end}`).toBe("format");
    expect(error?.message, `cut at ${end}`).toMatch(/truncated|damaged/);
  }
  expect(await errorOf(bytes)).toBeUndefined();
});

test("a rich model cut anywhere gives an error, or what came before, never a crash", async () => {
  const bytes = await toBytes(richModel());
  for (let end = 0; end < bytes.length; end += 7) await errorOf(bytes.subarray(0, end));
});

test("5,000 files with changed, removed or added bytes give an error or a model", async () => {
  const files = [
    await toBytes(richModel()),
    await toBytes(smallModel(floatTensor("w", [2000], new Float32Array(2000)))),
    (await toFiles(richModel(), { external: { location: "w", threshold: 1 } })).get("model.onnx") ?? new Uint8Array(0),
  ];
  const random = rng(2024).uniform;
  const below = (limit: number): number => Math.floor(random() * limit);
  let errors = 0;
  for (let i = 0; i < 5000; i++) {
    const bytes = Uint8Array.from(files[i % files.length]!);
    for (let edits = 1 + below(4); edits > 0; edits--) bytes[below(bytes.length)] = below(3) ? below(256) : 0xff;
    const from = below(bytes.length);
    const moved = below(4) === 0 ? Buffer.concat([bytes.subarray(0, from), bytes.subarray(from + below(9))]) : bytes;
    if (await errorOf(moved)) errors++;
  }
  expect(errors).toBeGreaterThan(1000);
  expect(errors).toBeLessThan(5000);
});

test("random bytes are no model", async () => {
  const random = rng(7).uniform;
  for (let i = 0; i < 300; i++) {
    const bytes = Uint8Array.from({ length: 1 + Math.floor(random() * 300) }, () => random() * 256);
    expect(await errorOf(bytes)).toBeInstanceOf(FewbitError);
  }
});

const nested = (levels: number, wrap: (inner: Part) => Part): Part => {
  let inner: Part = raw();
  for (let i = 0; i < levels; i++) inner = raw(allBytes(wrap(inner)));
  return inner;
};

/** A graph in an attribute of a node of a graph. */
const graphIn = (inner: Part): Part =>
  message("GraphProto", {
    node: [
      message("NodeProto", { opType: "If", attribute: [message("AttributeProto", { name: "g", type: 5, g: inner })] }),
    ],
  });

test.each([32, 60, 300, 3000])(
  "graphs nested %i deep are refused or read without exhausting the stack",
  async (levels) => {
    const error = await errorOf(modelAround(nested(levels, graphIn)));
    if (levels <= 32) expect(error).toBeUndefined();
    else expect(error?.message).toContain("nest deeper");
  },
);

test("the deepest graphs that are accepted are written again", async () => {
  const model = await fromBytes(modelAround(nested(32, graphIn)));
  expect(await contentOf(await fromBytes(await toBytes({ ...model })))).toEqual(await contentOf(model));
});

test("sequences of sequences of ... and groups in groups are refused", async () => {
  const sequence = (elemType: Part): Part =>
    message("TypeProto", { sequenceType: message("TypeSequence", { elemType }) });
  const type = nested(2000, sequence);
  const value = message("ValueInfoProto", { name: "x", type });
  expect((await errorOf(modelAround(message("GraphProto", { input: [value] }))))?.code).toBe("limit");
  const groups = raw(new Uint8Array(100_000).fill((1 << 3) | 3));
  expect((await errorOf(modelAround(groups)))?.message).toMatch(/nest deeper|breaks off/);
});

test("a length that reaches beyond its message, or overflows, is refused", async () => {
  const lengths = [
    [0x7f],
    [0xff, 0xff, 0xff, 0xff, 0x0f],
    [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
  ];
  for (const length of lengths) {
    const error = await errorOf(modelAround(raw(Uint8Array.of((1 << 3) | 2, ...length, 1, 2))));
    expect(error?.message).toMatch(/claims \d+ bytes/);
  }
});

test("numbers longer than ten bytes and wire types that don't exist are refused", async () => {
  const long = Uint8Array.of(8, ...new Uint8Array(10).fill(0xff), 1);
  expect((await errorOf(modelAround(raw(long))))?.message).toContain("longer than ten bytes");
  expect((await errorOf(modelAround(raw(Uint8Array.of((1 << 3) | 7)))))?.message).toContain("starts no protobuf field");
  expect((await errorOf(modelAround(raw(Uint8Array.of(0)))))?.message).toContain("starts no protobuf field");
});

const repeated = (field: Uint8Array, times: number): Uint8Array => {
  const all = new Uint8Array(field.length * times);
  for (let i = 0; i < times; i++) all.set(field, i * field.length);
  return all;
};

test.each([
  ["nodes", repeated(bytesField(1, bytesField(4, "R")), COUNTS.nodes.max + 1)],
  ["tensors", repeated(bytesField(5, Buffer.concat([intField(1, 0), intField(2, 1)])), COUNTS.tensors.max + 1)],
  ["values", repeated(bytesField(13, ""), COUNTS.values.max + 1)],
  ["fields", repeated(intField(99, 1), COUNTS.fields.max + 1)],
  ["names", bytesField(1, repeated(bytesField(1, ""), COUNTS.names.max + 1))],
])("a file with too many %s is refused before it eats memory", async (kind, fields) => {
  const before = process.memoryUsage().rss;
  const error = await errorOf(modelAround(raw(fields)));
  expect(error?.code).toBe("limit");
  expect(error?.message).toContain(String(COUNTS[kind === "names" ? "fields" : (kind as keyof typeof COUNTS)].max));
  // Objects of the largest count accepted take less than a gigabyte.
  expect(process.memoryUsage().rss - before).toBeLessThan(1e9);
});

test("packed numbers of an attribute are counted before they are unpacked", async () => {
  const attribute = raw(bytesField(1, "v"), intField(20, 7), bytesField(8, new Uint8Array(COUNTS.elements.max + 1)));
  const node = message("NodeProto", { opType: "R", attribute: [attribute] });
  expect((await errorOf(modelAround(message("GraphProto", { node: [node] }))))?.code).toBe("limit");
});

test("names that are no text or absurdly long are refused", async () => {
  const badName = modelAround(raw(bytesField(2, Uint8Array.of(0xff, 0xfe))));
  expect((await errorOf(badName))?.message).toContain("not UTF-8");
  expect((await errorOf(modelAround(raw(bytesField(2, "x".repeat(100_000))))))?.code).toBe("limit");
});

test("names of JavaScript's own objects are ordinary names", async () => {
  const attribute = (name: string) => message("AttributeProto", { name, type: 2, i: 1 });
  const names = ["__proto__", "constructor", "toString"];
  const node = message("NodeProto", { opType: "R", output: ["__proto__"], attribute: names.map(attribute) });
  const metadataProps = names.map((key) => message("StringStringEntryProto", { key, value: "v" }));
  const model = await fromBytes(
    Buffer.concat([
      modelAround(message("GraphProto", { node: [node] })),
      allBytes(message("ModelProto", { metadataProps })),
    ]),
  );
  expect(Object.keys(model.graph.nodes[0]?.attributes ?? {})).toEqual(names);
  expect(Object.keys(model.metadata)).toEqual(names);
  expect(Object.getPrototypeOf(model.metadata)).toBe(Object.prototype);
  const again = await fromBytes(await toBytes({ ...model, graph: { ...model.graph, nodes: [...model.graph.nodes] } }));
  expect(Object.keys(again.metadata)).toEqual(names);
});

test("two attributes of one name and a node without an operator are refused", async () => {
  const attribute = message("AttributeProto", { name: "a", type: 2, i: 1 });
  const twice = message("NodeProto", { opType: "R", attribute: [attribute, attribute] });
  expect((await errorOf(modelAround(message("GraphProto", { node: [twice] }))))?.message).toContain("two attributes");
  const none = message("NodeProto", { output: ["y"] });
  expect((await errorOf(modelAround(message("GraphProto", { node: [none] }))))?.message).toContain("names no operator");
});
