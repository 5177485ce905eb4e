/** Writes a `TensorFile` to disk, tensor by tensor, so that either all of its files are there or nothing has changed. */
import { basename, dirname, join, resolve } from "node:path";
import { encodeGguf } from "../containers/gguf/index.ts";
import { encodeSafetensors } from "../containers/safetensors/index.ts";
import type { OutputFile } from "../containers/stream.ts";
import type { TensorFile } from "../ir/tensor-file.ts";
import { fail } from "../numeric/errors.ts";
import { isBeingRead } from "./file-source.ts";
import { ioError } from "./io-errors.ts";
import { type Accept, type WrittenFile, writeFiles } from "./write-files.ts";

/** How weights are written. */
export interface WriteWeightsOptions {
  /** Most bytes of one file; beyond, there are several, named like "model-00001-of-00003.gguf". */
  readonly maxBytes?: number;
  /** Aborting stops the writing with code "cancelled". */
  readonly signal?: AbortSignal;
  /** Looks at the files before they get their names. */
  readonly accept?: Accept;
}

type Encode = (
  file: TensorFile,
  options: { readonly name: string; readonly maxBytes?: number },
) => readonly OutputFile[];

/** By the end of the path. */
const ENCODERS: readonly (readonly [string, Encode])[] = [
  [".gguf", encodeGguf],
  [".safetensors", encodeSafetensors],
];

/**
 * Writes weights to `path`; its end, .gguf or .safetensors, says which container. Returns the files in order: shards,
 * then safetensors' index. Refuses paths of files that are open for reading (code "usage").
 */
export async function writeWeights(
  file: TensorFile,
  path: string,
  { maxBytes, signal, accept }: WriteWeightsOptions = {},
): Promise<readonly WrittenFile[]> {
  const encode = ENCODERS.find(([end]) => path.toLowerCase().endsWith(end))?.[1];
  if (encode === undefined)
    return fail("usage", `"${path}" must end in .gguf or .safetensors, which says what is written`);
  const target = resolve(path);
  try {
    const files = encode(file, { name: basename(target), ...(maxBytes !== undefined && { maxBytes }) });
    for (const { name } of files)
      if (await isBeingRead(join(dirname(target), name)))
        fail(
          "usage",
          `"${join(dirname(target), name)}" is a file the model is being read from; choose another output path`,
        );
    return await writeFiles(dirname(target), files, { ...(signal && { signal }), ...(accept && { accept }) });
  } catch (error) {
    throw ioError(error, "write", path);
  }
}
