/** What is written is read back the same, and what was read is written back the same. */
import { expect, test } from "vitest";
import { bytesSource } from "../../ir/source.ts";
import type { StorageType, TensorFile } from "../../ir/tensor-file.ts";
import { changed, contentOf, filesByName, onlyFile, tensor, tensorMap } from "../tensor-files.case.ts";
import { DTYPE_NAMES } from "./dtypes.ts";
import { encodeSafetensors, readSafetensors, readSafetensorsIndex } from "./index.ts";

const toBytes = (file: TensorFile): Promise<Uint8Array> => onlyFile(encodeSafetensors(file));
const fromBytes = (bytes: Uint8Array): Promise<TensorFile> => readSafetensors(bytesSource(bytes));

const every = Object.values(DTYPE_NAMES).map((dtype, i) => tensor(`t${i}`, dtype, [2, 4]));
const richFile: TensorFile = {
  container: "safetensors",
  formatVersion: 1,
  metadata: new Map([
    ["format", { type: "string", value: "pt" }],
    ["2", { type: "string", value: "keys that are numbers keep their place" }],
    ["1", { type: "string", value: 'a "quote", a \\ and a \n' }],
    ["__proto__", { type: "string", value: "" }],
  ]),
  tensors: tensorMap(
    ...every,
    tensor("scalar", "float32", []),
    tensor("none", "float16", [0, 3]),
    tensor("é.b", "int8", [3]),
  ),
};

test("every element type and metadata come back as they were", async () => {
  const again = await fromBytes(await toBytes(richFile));
  for (const [name, { type }] of richFile.tensors) expect(again.tensors.get(name)?.type).toBe(type);
  const ordered = new Map([...again.tensors.keys()].map((name) => [name, richFile.tensors.get(name)!]));
  expect(await contentOf(again)).toEqual(await contentOf({ ...richFile, tensors: ordered }));
});

test("a file that was not changed is copied, one that was is encoded to the same bytes", async () => {
  const bytes = await toBytes(richFile);
  const text = Buffer.from(
    bytes.subarray(8, 8 + Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true))),
  );
  const spaced = Buffer.from(text.toString().replaceAll('":', '" : '));
  const other = Buffer.concat([
    Buffer.from(BigUint64Array.of(BigInt(spaced.length)).buffer),
    spaced,
    bytes.subarray(8 + text.length),
  ]);
  expect(await toBytes(await fromBytes(other))).toEqual(other);
  expect(await toBytes(changed(await fromBytes(other)))).toEqual(bytes);
});

/** Seven tensors and {"format": "pt"}, written by safetensors 0.7.0 from NumPy arrays. */
const REFERENCE =
  "qAEAAAAAAAB7Il9fbWV0YWRhdGFfXyI6eyJmb3JtYXQiOiJwdCJ9LCJiIjp7ImR0eXBlIjoiSTY0Iiwic2hhcGUiOlszXSwiZGF0YV9vZmZzZXRzIjpbMCwyNF19LCJhIjp7ImR0eXBlIjoiRjMyIiwic2hhcGUiOlsxLDJdLCJkYXRhX29mZnNldHMiOlsyNCwzMl19LCJzIjp7ImR0eXBlIjoiRjMyIiwic2hhcGUiOltdLCJkYXRhX29mZnNldHMiOlszMiwzNl19LCJ6Ijp7ImR0eXBlIjoiRjMyIiwic2hhcGUiOlswLDRdLCJkYXRhX29mZnNldHMiOlszNiwzNl19LCJoIjp7ImR0eXBlIjoiRjE2Iiwic2hhcGUiOlsxXSwiZGF0YV9vZmZzZXRzIjpbMzYsMzhdfSwiQiI6eyJkdHlwZSI6IlU4Iiwic2hhcGUiOlsyXSwiZGF0YV9vZmZzZXRzIjpbMzgsNDBdfSwiw6lcInEiOnsiZHR5cGUiOiJCT09MIiwic2hhcGUiOlsyXSwiZGF0YV9vZmZzZXRzIjpbNDAsNDJdfX0gAAAAAAAAAAABAAAAAAAAAAIAAAAAAAAAAADAPwAAAMAAAABAADgAAQEA";

test("a file of Hugging Face's library is encoded anew to the same bytes", async () => {
  const bytes = Buffer.from(REFERENCE, "base64");
  const file = await fromBytes(bytes);
  expect([...file.tensors.keys()]).toEqual(["B", "a", "b", "h", "s", "z", 'é"q']);
  expect(file.tensors.get("a")).toMatchObject({ type: "float32", shape: [1, 2] });
  expect(Buffer.compare(await toBytes(changed(file)), bytes)).toBe(0);
});

test("the header ends on a multiple of 8, and tensors lie on multiples of their elements", async () => {
  const bytes = await toBytes(richFile);
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  expect(length % 8).toBe(0);
  const header = JSON.parse(Buffer.from(bytes.subarray(8, 8 + length)).toString()) as Record<
    string,
    { dtype: string; data_offsets: number[] }
  >;
  for (const { dtype, data_offsets } of Object.values(header).filter(({ dtype }) => /64$/.test(dtype)))
    expect(data_offsets[0]! % (dtype === "C64" ? 4 : 8)).toBe(0);
});

const openIn = (files: ReadonlyMap<string, Uint8Array>) => async (location: string) =>
  bytesSource(files.get(location)!);

test("a model in several files has an index, is read as one, and no file is larger than allowed", async () => {
  const tensors = tensorMap(
    ...Array.from({ length: 40 }, (_, i) => tensor(`layers.${i}.weight`, "float32", [8, 10 + i])),
  );
  const file: TensorFile = { ...richFile, tensors };
  const files = await filesByName(encodeSafetensors(file, { name: "m.safetensors", maxBytes: 5000 }));
  const names = [...files.keys()];
  expect(names.at(0)).toBe(`m-00001-of-${String(names.length - 1).padStart(5, "0")}.safetensors`);
  expect(names.at(-1)).toBe("m.safetensors.index.json");
  for (const name of names.slice(0, -1)) expect(files.get(name)!.length).toBeLessThanOrEqual(5000);
  const index = files.get("m.safetensors.index.json")!;
  const json = JSON.parse(Buffer.from(index).toString()) as { metadata: unknown; weight_map: Record<string, string> };
  expect(json.metadata).toEqual({ total_size: [...tensors.values()].reduce((sum, { data }) => sum + data.size, 0) });
  expect(Object.keys(json.weight_map)).toEqual([...tensors.keys()].sort());
  expect(Buffer.from(index).toString()).toBe(`${JSON.stringify(json, null, 2)}\n`);
  const again = await readSafetensorsIndex(bytesSource(index), openIn(files));
  const ordered = new Map([...again.tensors.keys()].map((name) => [name, tensors.get(name)!]));
  expect(await contentOf(again)).toEqual(await contentOf({ ...file, tensors: ordered }));
});

test("what can't be written is refused with the name of the tensor or key", () => {
  const encode = (name: string, type: StorageType) => () =>
    encodeSafetensors({ ...richFile, tensors: tensorMap(tensor(name, type, [32])) });
  expect(encode("q", "q4_0")).toThrowError('tensor "q" is q4_0, which the format has no name for');
  expect(encode("i", "int4")).toThrowError('tensor "i" is int4');
  expect(encode("__metadata__", "int8")).toThrowError("rename the tensor");
  const metadata = new Map([["n", { type: "uint32", value: 1 } as const]]);
  expect(() => encodeSafetensors({ ...richFile, metadata })).toThrowError('metadata "n" is uint32; only texts');
  const short = { name: "s", type: "float32", shape: [4], data: bytesSource(new Uint8Array(15)) } as const;
  expect(() => encodeSafetensors({ ...richFile, tensors: tensorMap(short) })).toThrowError("takes 16");
});
