/** Opens a model by its path, whatever its container, with the data files that belong to it. */
import { dirname, join } from "node:path";
import { type ReadOptions, readOnnx } from "../containers/onnx/index.ts";
import { containerOf, looksLike, SNIFF_BYTES } from "../containers/sniff.ts";
import { readTflite } from "../containers/tflite/index.ts";
import type { ContainerName, Model } from "../ir/model.ts";
import { type ErrorCode, FewbitError } from "../numeric/errors.ts";
import { externalPath } from "./external-path.ts";
import { type FileSource, fileSource, reopeningSource } from "./file-source.ts";
import { withIoErrors } from "./io-errors.ts";

/** A model whose weights are read from open files. */
export interface OpenedModel {
  readonly model: Model;
  /** The model file and the files of external data it uses. */
  readonly files: readonly string[];
  /** Closes the files; weights can't be read afterwards. */
  close(): Promise<void>;
}

/** Data files kept open at a time; systems allow some 1,000 open files, and some exporters write one per tensor. */
const MAX_OPEN_FILES = 64;

/** The codes of errors that may mean "this was never an ONNX file". */
const DOUBTFUL = new Set<ErrorCode>(["format", "limit"]);

const headOf = (source: FileSource): Promise<Uint8Array> => source.read(0, Math.min(SNIFF_BYTES, source.size));

/** The same error with the file's path in it; for what was never a model of any kind, with what it looks like. */
async function explained(error: unknown, path: string, source: FileSource): Promise<unknown> {
  if (!(error instanceof FewbitError)) return error;
  const head = await headOf(source);
  const isOnnx = containerOf(head) === "onnx";
  if (isOnnx && !DOUBTFUL.has(error.code)) return error;
  const guess = isOnnx ? looksLike(head) : undefined;
  return guess
    ? new FewbitError("format", `"${path}" is not an ONNX model; it looks like ${guess}`, { cause: error })
    : new FewbitError(isOnnx ? "format" : error.code, `"${path}": ${error.message.replace(/^(onnx|tflite): /, "")}`, {
        cause: error,
      });
}

/** Readers by what a file looks like; ONNX's says what is wrong with everything else. */
const READERS: { readonly [C in ContainerName]?: (source: FileSource, options: ReadOptions) => Promise<Model> } = {
  onnx: readOnnx,
  tflite: readTflite,
};

/**
 * Opens a model file and, when needed, its external data; weights are read only when asked for. Fails with code
 * "usage" for a missing file, "format" for what is neither an ONNX nor a TFLite model (and says what it looks like) or is damaged.
 */
export async function openModelFile(path: string): Promise<OpenedModel> {
  const main = await fileSource(path);
  const sources: FileSource[] = [main];
  const files = [path];
  const close = async () => {
    for (const source of sources.splice(0)) await source.close();
  };
  const external = (location: string) =>
    withIoErrors("read", join(dirname(path), location), async () => {
      const found = await externalPath(path, location);
      const source = await (sources.length < MAX_OPEN_FILES ? fileSource : reopeningSource)(found);
      sources.push(source);
      files.push(found);
      return source;
    });
  try {
    const read = READERS[containerOf(await headOf(main))] ?? readOnnx;
    return { model: await read(main, { external }), files, close };
  } catch (error) {
    const clearer = await explained(error, path, main);
    await close();
    throw clearer;
  }
}
