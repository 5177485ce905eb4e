/** fewbit convert of a model folder to GGUF, written whole or not at all. */
import { basename, extname, relative, resolve } from "node:path";
import { encodeGguf } from "../containers/gguf/index.ts";
import type { StoredTensor, TensorFile } from "../ir/tensor-file.ts";
import { fail } from "../numeric/errors.ts";
import {
  type ConvertedModel,
  type ConvertFolderReport,
  describeConverted,
  toGguf,
} from "../pipeline/convert-folder.ts";
import type { Hooks } from "../pipeline/progress.ts";
import { ratioOf } from "../pipeline/result.ts";
import { sizeOf } from "./file-sizes.ts";
import { readFolderFiles } from "./folder-files.ts";
import { aloneCheck } from "./language-alone.ts";
import { type OpenedWeights, openWeights } from "./open-weights.ts";
import { megabytes, totalMegabytes } from "./quantize-weights.ts";
import type { ConvertFolderRequest } from "./requests.ts";
import type { Accept } from "./write-files.ts";
import { writeWeights } from "./write-weights.ts";

const GGUF_FILE = ".gguf";

/** Counts the bytes of a tensor on their way to the file. */
function counted({ data, ...rest }: StoredTensor, onBytes: (bytes: number, tensor: string) => void): StoredTensor {
  const told = (bytes: Uint8Array): Uint8Array => {
    onBytes(bytes.length, rest.name);
    return bytes;
  };
  const { chunks } = data;
  const pieces = chunks && { chunks: () => mapped(chunks.call(data), told) };
  const read = async (offset: number, length: number) => told(await data.read(offset, length));
  return { ...rest, data: { size: data.size, ...(data.seekable && { seekable: true }), ...pieces, read } };
}

async function* mapped<T>(all: AsyncIterable<T>, change: (one: T) => T): AsyncIterable<T> {
  for await (const one of all) yield change(one);
}

const withCount = (file: TensorFile, onBytes: (bytes: number, tensor: string) => void): TensorFile => ({
  ...file,
  tensors: new Map([...file.tensors].map(([name, tensor]) => [name, counted(tensor, onBytes)])),
});

function checkOpened({ weights }: OpenedWeights, { model, output }: ConvertFolderRequest): void {
  if (weights.container !== "safetensors")
    fail("usage", `${model} is GGUF already; fewbit quantize writes it in another type`);
  if (extname(output).toLowerCase() !== GGUF_FILE)
    fail(
      "unsupported",
      `${model} (safetensors) can't become ${basename(output)}: convert writes it to a file that ends in ${GGUF_FILE}`,
    );
}

/** Opens a folder and decides what it becomes, hands both to `use`, and closes. */
export async function withConverted<T>(
  request: Pick<ConvertFolderRequest, "model" | "output" | "type" | "pre">,
  use: (converted: ConvertedModel, opened: OpenedWeights) => Promise<T>,
): Promise<T> {
  const opened = await openWeights(request.model);
  try {
    checkOpened(opened, request);
    const folder = await readFolderFiles(resolve(opened.files[0]!));
    const { type, pre } = request;
    return await use(toGguf(opened.weights, folder, { type, ...(pre !== undefined && { pre }) }), opened);
  } finally {
    await opened.close();
  }
}

async function write({ file, type }: ConvertedModel, output: string, hooks: Hooks, accept?: Accept) {
  const total = [...file.tensors.values()].reduce((sum, { data }) => sum + data.size, 0);
  const step = hooks.progress.step(`converting to ${type}`, totalMegabytes(total), "MB");
  const done: Accept = async (files) => {
    step.done();
    await accept?.(files);
  };
  const options = { signal: hooks.signal, accept: done };
  const written = await writeWeights(withCount(file, megabytes(step)), output, options).finally(() => step.done());
  return written.map(({ path, size, sha256 }) => ({ name: basename(path), size, sha256 }));
}

/** Converts to a file for use in between: nobody asks what it is worth. */
export const convertBetween = (request: Pick<ConvertFolderRequest, "model" | "output" | "type">, hooks: Hooks) =>
  withConverted(request, (converted) => write(converted, request.output, hooks));

/**
 * Converts a folder of safetensors with its tokenizer to a GGUF file, which is run before it gets its name where the engine
 * is there; a dry run only tells what it would be.
 */
export function convertFolder(request: ConvertFolderRequest, hooks: Hooks): Promise<ConvertFolderReport> {
  const began = performance.now();
  const { model, output, data, threads = 1, dryRun = false } = request;
  if (dryRun && data !== undefined) fail("usage", "--dry-run runs nothing; leave --data out");
  return withConverted(request, async (converted, opened) => {
    const before = await sizeOf(opened.files);
    const check = dryRun ? undefined : await aloneCheck(data, threads, hooks);
    const files = check ? await write(converted, output, hooks, check.accept) : [];
    const after = (dryRun ? encodeGguf(converted.file) : files).reduce((sum, { size }) => sum + size, 0);
    const { run, findings } = check?.outcome() ?? { findings: [] };
    const described = describeConverted(converted);
    return {
      kind: "convert-folder",
      model: { name: basename(resolve(model)), files: opened.files.length, size: before },
      ...described,
      ...(!dryRun && { output: relative(".", output) || output }),
      ...(run && { run }),
      files,
      size: ratioOf(before, after),
      findings: [...findings, ...described.findings],
      seconds: (performance.now() - began) / 1000,
    };
  });
}
