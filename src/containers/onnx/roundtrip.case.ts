/** Shared by the tests of the ONNX container: to bytes and back, copies without origin, and contents to compare. */
import type { Model } from "../../ir/model.ts";
import { type ByteSource, bytesSource, readAll } from "../../ir/source.ts";
import type { OutputFile } from "../stream.ts";
import { type EncodeOptions, encodeOnnx, readOnnx } from "./index.ts";

export const bytesOfFile = async (file: OutputFile): Promise<Uint8Array> => {
  const parts: Uint8Array[] = [];
  for await (const chunk of file.chunks()) parts.push(chunk.slice());
  return Buffer.concat(parts);
};

/** The files of a model, by name; the main one is "model.onnx". */
export async function toFiles(model: Model, options: EncodeOptions = {}): Promise<ReadonlyMap<string, Uint8Array>> {
  const { main, external } = encodeOnnx(model, options);
  const files = new Map<string, Uint8Array>();
  for (const file of [main, ...external]) files.set(file.name, await bytesOfFile(file));
  return files;
}

export const toBytes = async (model: Model): Promise<Uint8Array> =>
  (await toFiles(model)).get("model.onnx") ?? new Uint8Array(0);

export const fromFiles = (files: ReadonlyMap<string, Uint8Array>): Promise<Model> =>
  readOnnx(bytesSource(files.get("model.onnx") ?? new Uint8Array(0)), {
    external: async (location) => {
      const bytes = files.get(location);
      if (bytes === undefined) throw new Error(`no file ${location}`);
      return bytesSource(bytes);
    },
  });

export const fromBytes = (bytes: Uint8Array): Promise<Model> => readOnnx(bytesSource(bytes));

const isSource = (value: object): value is ByteSource => "read" in value && "size" in value;

function rebuild(value: unknown, leaf: (source: ByteSource) => unknown): unknown {
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return value;
  if (Array.isArray(value)) return value.map((item) => rebuild(item, leaf));
  if (value instanceof Map) return new Map([...value].map(([key, item]) => [key, rebuild(item, leaf)]));
  if (isSource(value)) return leaf(value);
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, rebuild(item, leaf)]));
}

/** Equal in every object, but nothing in it remembers the file it came from: all of it is encoded anew. */
export const withoutOrigins = (model: Model): Model => rebuild(model, (source) => source) as Model;

/** Everything a model holds, as plain values: sources and bytes as hexadecimal. */
export async function contentOf(model: Model): Promise<unknown> {
  const sources: ByteSource[] = [];
  rebuild(model, (source) => sources.push(source));
  const read = new Map<ByteSource, string>();
  for (const source of sources) read.set(source, Buffer.from(await readAll(source)).toString("hex"));
  const plain = rebuild(model, (source) => read.get(source));
  return hexed(plain);
}

function hexed(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(hexed);
  if (value instanceof Map) return [...value].map(([key, item]) => [key, hexed(item)]);
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, hexed(item)]));
}
