/** Folders as scripts/peers/convert-hf.py makes them: their files stand in the golden file, weights follow a rule. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { encodeSafetensors, readSafetensors, readSafetensorsIndex } from "../../containers/safetensors/index.ts";
import { onlyFile, tensorMap } from "../../containers/tensor-files.case.ts";
import { bytesSource } from "../../ir/source.ts";
import type { StoredTensor, TensorFile } from "../../ir/tensor-file.ts";
import { encodeFloats } from "../../numeric/convert.ts";
import type { FolderFiles } from "./folder.ts";

type Dtype = "bfloat16" | "float16" | "float32";
type Content = string | { readonly base64: string } | object;

/** What llama.cpp's converter wrote: each key as [name, types, value or digest], each tensor as [name, type, digest]. */
export interface GoldenOutput {
  readonly bytes: number;
  readonly sha256: string;
  readonly keys: readonly (readonly [string, readonly string[], unknown])[];
  readonly tensors: readonly (readonly [string, string, string])[];
}

/** One folder. */
export interface GoldenFolder {
  readonly name: string;
  readonly files: Readonly<Record<string, Content>>;
  readonly dtype: Dtype;
  readonly shards: number;
  readonly tensors: readonly (readonly [string, readonly number[]])[];
  readonly outputs: Readonly<Record<string, GoldenOutput>>;
}

interface Golden {
  readonly models: readonly GoldenFolder[];
  /** Names of models: [id, parameters, name, organization, basename, finetune, version, size label, title]. */
  readonly ids: readonly (readonly [string, number, ...(string | null)[]])[];
}

const PATH = resolve(import.meta.dirname, "../../../tests/golden/gguf/folders.json");

/** The golden file. */
export const golden = (): Golden => JSON.parse(readFileSync(PATH, "utf8")) as Golden;

function contentBytes(content: Content): Uint8Array {
  if (typeof content === "string") return new TextEncoder().encode(content);
  if ("base64" in content) return new Uint8Array(Buffer.from(content.base64, "base64"));
  return new TextEncoder().encode(JSON.stringify(content));
}

/** The small files. */
export const folderFiles = ({ name, files }: GoldenFolder): FolderFiles => ({
  name,
  files: new Map(Object.entries(files).map(([file, content]) => [file, contentBytes(content)])),
});

const RULES: Readonly<Record<Dtype, (i: number) => number>> = {
  float32: (i) => (((7919 * i) % 10007) - 5003) / 4096,
  float16: (i) => (((37 * i) % 113) - 56) / 16,
  bfloat16: (i) => (((37 * i) % 113) - 56) / 16,
};

function made(name: string, shape: readonly number[], dtype: Dtype): StoredTensor {
  const count = shape.reduce((product, length) => product * length, 1);
  const rule = RULES[dtype];
  const values = Float32Array.from({ length: count }, (_, i) => rule(i));
  return { name, type: dtype, shape, data: bytesSource(encodeFloats(values, dtype)) };
}

const shardBytes = (tensors: readonly StoredTensor[]): Promise<Uint8Array> =>
  onlyFile(
    encodeSafetensors({
      ...{ container: "safetensors", formatVersion: 1, metadata: new Map(), tensors: tensorMap(...tensors) },
    }),
  );

/** The files of the weights: one, or several with an index. */
export async function weightFiles({ tensors, dtype, shards }: GoldenFolder): Promise<ReadonlyMap<string, Uint8Array>> {
  const all = tensors.map(([name, shape]) => made(name, shape, dtype));
  if (shards === 1) return new Map([["model.safetensors", await shardBytes(all)]]);
  const files = new Map<string, Uint8Array>();
  const places: Record<string, string> = {};
  const number = (n: number): string => String(n).padStart(5, "0");
  for (let shard = 0; shard < shards; shard++) {
    const name = `model-${number(shard + 1)}-of-${number(shards)}.safetensors`;
    const own = all.filter((_, i) => i % shards === shard);
    for (const tensor of own) places[tensor.name] = name;
    files.set(name, await shardBytes(own));
  }
  const index = new TextEncoder().encode(JSON.stringify({ metadata: {}, weight_map: places }));
  return new Map([["model.safetensors.index.json", index], ...files]);
}

/** The weights, read as from files. */
export async function folderWeights(folder: GoldenFolder): Promise<TensorFile> {
  const files = await weightFiles(folder);
  const source = (name: string) => bytesSource(files.get(name)!);
  return folder.shards === 1
    ? readSafetensors(source("model.safetensors"))
    : readSafetensorsIndex(source("model.safetensors.index.json"), async (name) => source(name));
}
