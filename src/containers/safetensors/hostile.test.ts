/** Damaged and hostile safetensors files: one error each, or a file; never a crash, a hang, or gigabytes of memory. */
import { expect, test } from "vitest";
import { bytesSource, readAll } from "../../ir/source.ts";
import type { TensorFile } from "../../ir/tensor-file.ts";
import { FewbitError } from "../../numeric/errors.ts";
import { rng } from "../../numeric/rng.ts";
import { changed, damaged, onlyFile, tensor, tensorMap } from "../tensor-files.case.ts";
import { encodeSafetensors, readSafetensors, readSafetensorsIndex } from "./index.ts";
import { MAX_HEADER_BYTES } from "./limits.ts";

const file: TensorFile = {
  container: "safetensors",
  formatVersion: 1,
  metadata: new Map([["format", { type: "string", value: "pt" }]]),
  tensors: tensorMap(
    tensor("a.weight", "float32", [3, 4]),
    tensor("a.bias", "bfloat16", [3]),
    tensor("n", "int64", []),
  ),
};
const toBytes = (of: TensorFile): Promise<Uint8Array> => onlyFile(encodeSafetensors(of));

/** The error of reading, or undefined when a sound file came out; anything but a `FewbitError` fails the test. */
async function errorOf(bytes: Uint8Array): Promise<FewbitError | undefined> {
  try {
    const found = await readSafetensors(bytesSource(bytes));
    for (const { data } of found.tensors.values()) await readAll(data);
    const again = await readSafetensors(bytesSource(await toBytes(changed(found))));
    expect(new Set(again.tensors.keys())).toEqual(new Set(found.tensors.keys()));
    return undefined;
  } catch (error) {
    if (error instanceof FewbitError) return error;
    throw error;
  }
}

test("a file cut at any byte gives one error that says it is truncated", async () => {
  const bytes = await toBytes(file);
  for (let cut = 0; cut < bytes.length; cut++)
    expect((await errorOf(bytes.subarray(0, cut)))?.message, `cut at ${cut}`).toMatch(/truncated/);
  expect(await errorOf(bytes)).toBeUndefined();
});

test("500 files with a damaged header give an error or a file that is written and read again", async () => {
  const bytes = await toBytes(file);
  const random = rng(12).uniform;
  let errors = 0;
  for (let i = 0; i < 500; i++) if (await errorOf(damaged(bytes, bytes.length - 60, random))) errors++;
  expect(errors).toBeGreaterThan(250);
  expect(errors).toBeLessThan(500);
});

const withLength = (length: number | bigint, rest: string | Uint8Array, data = 0): Uint8Array =>
  Buffer.concat([
    Buffer.from(BigUint64Array.of(BigInt(length)).buffer),
    Buffer.from(rest as string),
    new Uint8Array(data),
  ]);
const header = (text: string, data = 0): Uint8Array => withLength(Buffer.byteLength(text), text, data);
const entry = (dtype: unknown, shape: unknown, offsets: unknown): string =>
  JSON.stringify({ w: { dtype, shape, data_offsets: offsets } });
const two = (first: readonly number[], second: readonly number[]): string =>
  JSON.stringify({
    v: { dtype: "U8", shape: [first[1]! - first[0]!], data_offsets: first },
    w: { dtype: "U8", shape: [second[1]! - second[0]!], data_offsets: second },
  });

test.each<[string, Uint8Array, string, RegExp]>([
  ["no header", new Uint8Array(3), "format", /3 bytes are too few/],
  [
    "a header of absurd length",
    withLength(2n ** 63n, "{}"),
    "limit",
    /claims 92233720368547\d+ bytes; at most 100000000/,
  ],
  ["a header beyond the limit", withLength(MAX_HEADER_BYTES + 1, "{}"), "limit", /at most 100000000/],
  ["a header beyond the file", withLength(100, "{}"), "format", /claims 100 bytes of 2; the file is truncated/],
  ["a header that is no object", header("[1]"), "format", /does not begin with "{"/],
  ["a header that is no JSON", header("{'a'}"), "format", /is no JSON/],
  ["a header that breaks off", header('{"a":'), "format", /breaks off/],
  ["bytes that are not UTF-8", withLength(2, Uint8Array.of(0x7b, 0xff)), "format", /not UTF-8/],
  [
    "a key twice",
    header('{"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"w":{}}', 1),
    "format",
    /key "w" occurs twice/,
  ],
  ["objects that nest deep", header(`${'{"a":'.repeat(5000)}1${"}".repeat(5000)}`), "limit", /nest deeper than 8/],
  ["an entry that is no object", header('{"w":3}'), "format", /tensor "w": its entry is no object/],
  ["an unknown dtype", header(entry("F7", [1], [0, 1]), 1), "unsupported", /dtype is "F7"; known are BOOL, F4/],
  ["a dtype of JavaScript's own", header(entry("constructor", [1], [0, 1]), 1), "unsupported", /"constructor"/],
  ["a dtype that is no text", header(entry(4, [1], [0, 1]), 1), "format", /dtype is no text/],
  ["a shape that is no list", header(entry("U8", "1", [0, 1]), 1), "format", /its shape is no list/],
  ["a negative length", header(entry("U8", [-1], [0, 1]), 1), "format", /its shape is no list of whole numbers/],
  ["a length with a fraction", header(entry("U8", [0.5], [0, 1]), 1), "format", /its shape is no list/],
  [
    "a length beyond 2^53",
    header('{"w":{"dtype":"U8","shape":[99999999999999999999],"data_offsets":[0,1]}}', 1),
    "format",
    /its shape/,
  ],
  [
    "lengths that multiply beyond",
    header(entry("U8", [2 ** 50, 2 ** 50], [0, 1]), 1),
    "limit",
    /multiply beyond any file/,
  ],
  ["100 dimensions", header(entry("U8", new Array(100).fill(1), [0, 1]), 1), "limit", /100 dimensions/],
  [
    "offsets that are missing",
    header('{"w":{"dtype":"U8","shape":[1]}}', 1),
    "format",
    /data_offsets is no list|data_offsets are/,
  ],
  ["three offsets", header(entry("U8", [1], [0, 1, 2]), 1), "format", /are not two numbers/],
  [
    "offsets that run backwards",
    header(entry("U8", [1], [1, 0]), 1),
    "format",
    /bytes 1 to 0 are given, but uint8 of shape \[1\] takes 1/,
  ],
  ["offsets of another size", header(entry("F32", [2], [0, 4]), 4), "format", /takes 8/],
  ["elements that fill no whole bytes", header(entry("F4", [3], [0, 2]), 2), "format", /does not fill whole bytes/],
  [
    "overlapping tensors",
    header(two([0, 4], [2, 6]), 6),
    "format",
    /"w" begins at byte 2 of the data, but tensor "v" ends at 4; they overlap/,
  ],
  ["a hole between tensors", header(two([0, 4], [5, 6]), 6), "format", /the bytes between belong to none/],
  ["a hole before the first", header(entry("U8", [1], [1, 2]), 2), "format", /but the header ends at 0/],
  [
    "data that is missing",
    header(entry("U8", [9], [0, 9]), 4),
    "format",
    /take 9 bytes, the file has 4 for them; it is truncated/,
  ],
  ["data that belongs to none", header(entry("U8", [2], [0, 2]), 4), "format", /take 2 bytes, the file has 4/],
  ["metadata that is no text", header('{"__metadata__":{"a":1}}'), "format", /__metadata__ entry "a" is no text/],
  ["metadata that is no object", header('{"__metadata__":"a"}'), "format", /__metadata__ is no object/],
])("%s: one clear error", async (_, bytes, code, message) => {
  const error = await errorOf(bytes);
  expect(error?.message).toMatch(message);
  expect(error?.message).toMatch(/^safetensors/);
  expect(error?.code).toBe(code);
});

test("what is allowed at the edge is read: no tensors, spaces behind, unknown fields, names of JavaScript's own", async () => {
  expect(await errorOf(header("{}"))).toBeUndefined();
  expect(await errorOf(header("{}      "))).toBeUndefined();
  expect(
    await errorOf(
      header('{"__metadata__":null,"__proto__":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":{}}}', 1),
    ),
  ).toBeUndefined();
});

const index = (json: unknown) => bytesSource(Buffer.from(typeof json === "string" ? json : JSON.stringify(json)));

test.each<[string, unknown, RegExp]>([
  [
    "a file above the folder",
    { weight_map: { w: "../secret.safetensors" } },
    /tensor "w": .*leaves the folder with \.\./,
  ],
  ["an absolute path", { weight_map: { w: "/etc/passwd" } }, /is an absolute path/],
  ["a drive", { weight_map: { w: "C:\\x" } }, /contains a backslash/],
  ["an address", { weight_map: { w: "https://x/y" } }, /names a drive or address/],
  ["a file that is no text", { weight_map: { w: 5 } }, /the file of tensor "w" is no text/],
  ["no weight_map", { metadata: {} }, /no object "weight_map"/],
  ["no JSON", "weights", /is no JSON/],
  ["a tensor twice", '{"weight_map":{"w":"a","w":"b"}}', /key "w" occurs twice/],
])("an index with %s is refused before a file is opened", async (_, json, message) => {
  const opened: string[] = [];
  const open = async (location: string) => {
    opened.push(location);
    return bytesSource(new Uint8Array(0));
  };
  await expect(readSafetensorsIndex(index(json), open)).rejects.toThrowError(message);
  expect(opened).toEqual([]);
});

test("an index that names tensors its files don't hold is refused", async () => {
  const bytes = await toBytes(file);
  await expect(
    readSafetensorsIndex(index({ weight_map: { n: "m.safetensors", other: "m.safetensors" } }), async () =>
      bytesSource(bytes),
    ),
  ).rejects.toThrowError('the index puts tensor "other" into "m.safetensors", which does not hold it');
});
