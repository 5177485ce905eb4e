/** What is written is read back the same, and what was read is written back the same. */
import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, test } from "vitest";
import { bytesSource, computedSource } from "../../ir/source.ts";
import type { MetadataValue, TensorFile } from "../../ir/tensor-file.ts";
import { changed, contentOf, fileLike, filesByName, tensor, tensorMap } from "../tensor-files.case.ts";
import { cat, fromBytes, metadata, richFile, smallFile, str, toBytes, u32, u64 } from "./files.case.ts";
import { encodeGguf, parseShardName, readGguf, shardName } from "./index.ts";

test("every kind of metadata and several types of tensors come back as they were", async () => {
  const again = await fromBytes(await toBytes(richFile));
  expect(await contentOf(again)).toEqual(await contentOf(richFile));
  expect(again.formatVersion).toBe(3);
});

test("a small file has the bytes that the format's description gives", async () => {
  const header = cat(
    ...[Buffer.from("GGUF"), u32(3), u64(2), u64(1)],
    ...[str("general.architecture"), u32(8), str("llama")],
    ...[str("w"), u32(2), u64(3), u64(2), u32(0), u64(0)],
    ...[str("b"), u32(1), u64(32), u32(8), u64(32)],
  );
  const bytes = await toBytes(smallFile);
  expect(Buffer.from(bytes.subarray(0, header.length)).toString("hex")).toBe(Buffer.from(header).toString("hex"));
  // 24 and 34 bytes of data, each filled up to a multiple of 32
  expect(bytes.length).toBe(Math.ceil(header.length / 32) * 32 + 32 + 64);
});

test("a file that was not changed is copied, one that was is encoded to the same bytes", async () => {
  const bytes = await toBytes(richFile);
  const withTail = cat(bytes, Uint8Array.of(1, 2, 3));
  expect(await toBytes(await fromBytes(withTail))).toEqual(withTail);
  expect(await toBytes(changed(await fromBytes(bytes)))).toEqual(bytes);
});

test("version 2 stays version 2, files of other containers become version 3", async () => {
  const old = await fromBytes(await toBytes({ ...smallFile, formatVersion: 2 }));
  expect(old.formatVersion).toBe(2);
  expect((await fromBytes(await toBytes(changed(old)))).formatVersion).toBe(2);
  expect(
    (await fromBytes(await toBytes({ ...smallFile, container: "safetensors", formatVersion: 1 }))).formatVersion,
  ).toBe(3);
});

test("tensors lie where general.alignment says", async () => {
  const own = new Map([...metadata, ["general.alignment", { type: "uint32", value: 128 }] as const]);
  const bytes = await toBytes({ ...richFile, metadata: own });
  expect(bytes.length % 128).toBe(0);
  expect(await contentOf(await fromBytes(bytes))).toEqual(await contentOf({ ...richFile, metadata: own }));
});

test("a header longer than what is read first is found in more steps, and no tensor is read", async () => {
  const zeros = { name: "w", type: "float32", shape: [1000, 1000], data: bytesSource(new Uint8Array(4e6)) } as const;
  const tokens = Array.from({ length: 60_000 }, (_, i) => `▁token ${i}`);
  const long = new Map([...metadata, ["tokens", { type: "array", of: "string", value: tokens } as MetadataValue]]);
  const bytes = await toBytes({
    ...smallFile,
    metadata: long,
    tensors: tensorMap(zeros),
  });
  let last = 0;
  const file = await readGguf(
    fileLike(bytes, (offset, length) => {
      last = Math.max(last, offset + length);
    }),
  );
  expect(file.metadata.get("tokens")?.value).toEqual(tokens);
  expect(file.metadata.get("a.raw")?.value).toEqual(Uint8Array.of(0xff, 0xfe, 0x61));
  expect(last).toBeLessThan(bytes.length);
});

const openShards = (files: ReadonlyMap<string, Uint8Array>, name: string) => async (no: number, count: number) =>
  bytesSource(files.get(shardName(name, no, count))!);

async function throughShards(file: TensorFile, maxBytes: number): Promise<readonly [TensorFile, readonly number[]]> {
  const files = await filesByName(encodeGguf(file, { name: "m.gguf", maxBytes }));
  const [first] = files.values();
  const read = await readGguf(bytesSource(first!), { shard: openShards(files, "m.gguf") });
  return [read, [...files.values()].map(({ length }) => length)];
}

test("a model in several files is read as one, and no file is larger than allowed", async () => {
  const tensors = tensorMap(...Array.from({ length: 40 }, (_, i) => tensor(`blk.${i}.weight`, "float32", [8, 10 + i])));
  for (const own of [[], [["general.alignment", { type: "uint32", value: 256 }] as const]]) {
    const file: TensorFile = { ...richFile, metadata: new Map([...metadata, ...own]), tensors };
    const [again, sizes] = await throughShards(file, 6000);
    expect(sizes.length).toBeGreaterThan(7);
    for (const size of sizes) expect(size).toBeLessThanOrEqual(6000);
    expect(await contentOf(again)).toEqual(await contentOf(file));
  }
});

test("a tensor larger than a file may be gets a file of its own", async () => {
  const tensors = tensorMap(
    tensor("a", "float32", [10]),
    tensor("big", "float32", [5000]),
    tensor("c", "float32", [10]),
  );
  const [again, sizes] = await throughShards({ ...smallFile, tensors }, 1000);
  expect(sizes.length).toBe(3);
  expect(await contentOf(again)).toEqual(await contentOf({ ...smallFile, tensors }));
});

test("what fits into one file is one file without keys of a split", async () => {
  const files = encodeGguf(changed(smallFile), { name: "m.gguf", maxBytes: 100_000 });
  expect(files.map(({ name }) => name)).toEqual(["m.gguf"]);
});

test("names of several files lead there and back", () => {
  expect(shardName("model.gguf", 1, 3)).toBe("model-00002-of-00003.gguf");
  expect(parseShardName("model-00002-of-00003.gguf")).toEqual({ name: "model.gguf", no: 1, count: 3 });
  expect(parseShardName("a-00004-of-00003.gguf")).toBeUndefined();
  expect(parseShardName("model.gguf")).toBeUndefined();
});

test("computed tensors are asked for one after the other, when their turn to be written comes", async () => {
  let held = 0;
  let most = 0;
  const names = Array.from({ length: 20 }, (_, i) => `t${i}`);
  const order: string[] = [];
  const compute = (name: string) => async () => {
    order.push(name);
    most = Math.max(most, ++held);
    await Promise.resolve();
    held--;
    return new Uint8Array(4000);
  };
  const tensors = names.map((name) => ({
    ...{ name, type: "float32" as const, shape: [1000] },
    data: computedSource(4000, compute(name)),
  }));
  await toBytes({ ...smallFile, tensors: tensorMap(...tensors) });
  expect(order).toEqual(names);
  expect(most).toBe(1);
});

const STORIES = resolve(import.meta.dirname, "../../../../shared/data/stories260K/stories260K_f32.gguf");
const reason = existsSync(STORIES) ? undefined : `no ${STORIES}`;
if (reason !== undefined) console.log(`skipped: a file for llama.cpp, encoded anew: ${reason}`);

test.skipIf(reason !== undefined)("a file for llama.cpp is encoded anew to the same bytes", async () => {
  const bytes = readFileSync(STORIES);
  const file = await readGguf(bytesSource(bytes));
  expect(file.tensors.size).toBe(48);
  expect(Buffer.compare(await toBytes(changed(file)), bytes)).toBe(0);
});

test("texts of every kind of character, short and long, come back as they were, and damaged ones as their bytes", async () => {
  const codes = [0, 0x7f, 0x80, 0x7ff, 0x800, 0xd7ff, 0xe000, 0xfeff, 0xfffd, 0xffff, 0x10000, 0x10ffff];
  const characters = codes.map((code) => String.fromCodePoint(code));
  const whole = characters.flatMap((one) => [one, `a${one}`, one.repeat(3), one.repeat(40), `${one}ä▁`]);
  const encoded = [...whole, "é▁"].map((one) => Buffer.from(one));
  const cut = encoded.flatMap((bytes) => (bytes.length > 1 ? [bytes.subarray(0, -1), bytes.subarray(1)] : []));
  const odd = [
    [0xc0, 0x80],
    [0xc1, 0xbf],
    [0xe0, 0x80, 0x80],
    [0xed, 0xa0, 0x80],
    [0xf4, 0x90, 0x80, 0x80],
    [0x80],
    [0xff],
  ];
  const texts = [...encoded, ...cut, ...odd.map((bytes) => Buffer.from(bytes))].map((bytes) => Uint8Array.from(bytes));
  const value: MetadataValue = { type: "array", of: "string", value: texts };
  const again = await fromBytes(await toBytes({ ...smallFile, metadata: new Map([["texts", value]]) }));
  const found = again.metadata.get("texts")?.value as readonly (string | Uint8Array)[];
  const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  const expected = texts.map((bytes) => {
    try {
      return strict.decode(bytes);
    } catch {
      return bytes;
    }
  });
  expect(found).toEqual(expected);
  expect(await toBytes(changed(again))).toEqual(await toBytes({ ...smallFile, metadata: new Map([["texts", value]]) }));
});
