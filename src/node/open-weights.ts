/** Opens files of weights by their path: GGUF, safetensors, in one file or several, or a folder that holds one of them. */
import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { parseShardName, readGguf, shardName } from "../containers/gguf/index.ts";
import { indexName, readSafetensors, readSafetensorsIndex } from "../containers/safetensors/index.ts";
import { looksLike, SNIFF_BYTES } from "../containers/sniff.ts";
import type { ByteSource } from "../ir/source.ts";
import type { TensorFile } from "../ir/tensor-file.ts";
import { type ErrorCode, FewbitError, fail } from "../numeric/errors.ts";
import { externalPath } from "./external-path.ts";
import { type FileSource, fileSource, reopeningSource } from "./file-source.ts";
import { withIoErrors } from "./io-errors.ts";

/** Tensors that are read from open files. */
export interface OpenedWeights {
  readonly weights: TensorFile;
  /** The file that was named or found, then those that belong to it. */
  readonly files: readonly string[];
  /** Closes the files; tensors can't be read afterwards. */
  close(): Promise<void>;
}

/** Files kept open at a time; systems allow some 1,000. */
const MAX_OPEN_FILES = 64;
const SAFETENSORS = "model.safetensors";
/** Guesses at a file's kind that tell nothing new. */
const EXPECTED = /GGUF|safetensors|JSON/;

interface Opening {
  readonly sources: FileSource[];
  readonly files: string[];
}

async function open({ sources, files }: Opening, path: string): Promise<FileSource> {
  const source = await (sources.length < MAX_OPEN_FILES ? fileSource : reopeningSource)(path);
  sources.push(source);
  files.push(path);
  return source;
}

/** Another file of the same model, which must lie in the first one's folder. */
const beside =
  (opening: Opening, path: string) =>
  (location: string): Promise<ByteSource> =>
    withIoErrors("read", join(dirname(path), location), async () => open(opening, await externalPath(path, location)));

async function openGguf(opening: Opening, path: string): Promise<TensorFile> {
  const own = parseShardName(basename(path));
  const first = own === undefined ? path : join(dirname(path), shardName(own.name, 0, own.count));
  const name = own?.name ?? basename(path);
  return readGguf(await open(opening, first), {
    shard: (no, count) => beside(opening, first)(shardName(name, no, count)),
  });
}

const openSafetensors = async (opening: Opening, path: string): Promise<TensorFile> =>
  readSafetensors(await open(opening, path));

const openIndex = async (opening: Opening, path: string): Promise<TensorFile> =>
  readSafetensorsIndex(await open(opening, path), beside(opening, path));

/** By the end of a file's name, longest first. */
const READERS: readonly (readonly [string, (opening: Opening, path: string) => Promise<TensorFile>])[] = [
  [".safetensors.index.json", openIndex],
  [".safetensors", openSafetensors],
  [".gguf", openGguf],
];

const readerOf = (path: string) => READERS.find(([end]) => path.toLowerCase().endsWith(end))?.[1];

/** Whether a path is named like a file of weights. */
export const isWeightsPath = (path: string): boolean => readerOf(path) !== undefined;

/** The models among a folder's file names: one of several GGUF files stands for all of them. */
const modelsIn = (names: readonly string[]): readonly string[] =>
  names.filter((name) => name.toLowerCase().endsWith(".gguf") && (parseShardName(name)?.no ?? 0) === 0);

/** The file of a folder that the model is opened by: safetensors by Hugging Face's names, or the only GGUF model. */
async function fileOf(folder: string): Promise<string> {
  const names = (await withIoErrors("read", folder, () => readdir(folder))).sort();
  for (const name of [indexName(SAFETENSORS), SAFETENSORS]) if (names.includes(name)) return join(folder, name);
  const found = modelsIn(names);
  if (found.length === 1) return join(folder, found[0]!);
  return fail(
    "usage",
    found.length === 0
      ? `${folder}: no ${SAFETENSORS}, no ${indexName(SAFETENSORS)} and no .gguf file in it; name the file itself`
      : `${folder}: ${found.length} GGUF models (${found.slice(0, 3).join(", ")}); name one of them`,
  );
}

/** The codes of errors that may mean "this was never such a file". */
const DOUBTFUL = new Set<ErrorCode>(["format", "limit"]);

async function explained(error: unknown, path: string, source: FileSource | undefined): Promise<unknown> {
  if (!(error instanceof FewbitError) || error.code === "usage" || error.code === "io" || source === undefined)
    return error;
  const guess = looksLike(await source.read(0, Math.min(SNIFF_BYTES, source.size)));
  const other = DOUBTFUL.has(error.code) && guess !== undefined && !EXPECTED.test(guess);
  const text = `"${path}": ${error.message.replace(/^(gguf|safetensors): /, "")}${other ? `; it looks like ${guess}` : ""}`;
  return new FewbitError(error.code, text, { cause: error });
}

/**
 * Opens weights by the path of a file (of several: any GGUF file of them, or the index), or of a folder. Tensors are read
 * only when asked for. Fails with code "usage" for missing files, "format" for damaged ones.
 */
export async function openWeights(path: string): Promise<OpenedWeights> {
  const isFolder = (await withIoErrors("read", path, () => stat(path))).isDirectory();
  const file = isFolder ? await fileOf(path) : path;
  const read = readerOf(file);
  if (read === undefined) return fail("usage", `"${file}" is not named .gguf, .safetensors or .safetensors.index.json`);
  const opening: Opening = { sources: [], files: [] };
  const close = async () => {
    for (const source of opening.sources.splice(0)) await source.close();
  };
  try {
    return { weights: await read(opening, file), files: opening.files, close };
  } catch (error) {
    const clearer = await explained(error, opening.files.at(-1) ?? file, opening.sources.at(-1));
    await close();
    throw clearer;
  }
}
