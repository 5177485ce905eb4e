/** A model to files: which ones, and that it is not written over what it is read from. */
import { basename, dirname, join, resolve } from "node:path";
import {
  type EncodedModel,
  type EncodeOptions,
  type ExternalOptions,
  encodeOnnx,
  hasExternalData,
  isUnchanged,
  MAX_PROTO_BYTES,
  type OutputFile,
} from "../containers/onnx/index.ts";
import { encodeTflite } from "../containers/tflite/index.ts";
import { graphs } from "../ir/edit.ts";
import type { ContainerName, Model } from "../ir/model.ts";
import { fail } from "../numeric/errors.ts";
import { isBeingRead } from "./file-source.ts";
import { ioError } from "./io-errors.ts";
import { type WrittenFile, writeFiles } from "./write-files.ts";

/** How a model is written. */
export interface WriteModelOptions {
  /**
   * Weights in files of their own: where, or `false` for never. By default `NAME_data` beside the model when it was
   * read with external data or would pass 2 GiB.
   */
  readonly external?: (Omit<ExternalOptions, "location"> & { readonly location?: string }) | false;
  /** Aborting stops the writing with code "cancelled". */
  readonly signal?: AbortSignal;
}

/** Room for the structure of a model beside its weights when deciding whether it fits a protobuf message. */
const STRUCTURE_BYTES = 64 * 1024 * 1024;

const weightBytes = (model: Model): number =>
  [...graphs(model.graph)].reduce(
    (sum, { graph }) => [...graph.tensors.values()].reduce((inner, { data }) => inner + data.size, sum),
    0,
  );

function encodeOptions(model: Model, name: string, external: WriteModelOptions["external"]): EncodeOptions {
  const location = `${name}_data`;
  if (external === false) return { name };
  if (external) return { name, external: { location, ...external } };
  if (isUnchanged(model)) return { name };
  const needed = hasExternalData(model) || weightBytes(model) > MAX_PROTO_BYTES - STRUCTURE_BYTES;
  return needed ? { name, external: { location } } : { name };
}

/** How each container becomes files. */
const ENCODERS: {
  readonly [C in ContainerName]?: (model: Model, name: string, external: WriteModelOptions["external"]) => EncodedModel;
} = {
  onnx: (model, name, external) => encodeOnnx(model, encodeOptions(model, name, external)),
  tflite: (model, name, external) =>
    external
      ? fail("usage", `"${name}": a TFLite model is one file; leave out external`)
      : encodeTflite(model, { name }),
};

const outputs = ({ main, external }: EncodedModel): readonly OutputFile[] => [...external, main];

/** Which of the model's own open files writing would replace. */
async function inTheWay(folder: string, encoded: EncodedModel): Promise<string | undefined> {
  for (const { name } of outputs(encoded)) if (await isBeingRead(join(folder, name))) return join(folder, name);
  return undefined;
}

/** The files to write; an unchanged model gets a new data file when its old one, in the same folder, is in the way. */
async function encodeFor(model: Model, path: string, options: WriteModelOptions): Promise<EncodedModel> {
  const name = basename(path);
  const folder = dirname(path);
  const encode =
    ENCODERS[model.container] ?? fail("unsupported", `a model of container ${model.container} can't be written`);
  const encoded = encode(model, name, options.external);
  const blocked = await inTheWay(folder, encoded);
  if (blocked === undefined) return encoded;
  if (options.external === undefined && isUnchanged(model) && blocked !== path) {
    const again = encodeOnnx(model, { name, external: { location: `${name}_data` } });
    if ((await inTheWay(folder, again)) === undefined) return again;
  }
  return fail("usage", `"${blocked}" is a file the model is being read from; choose another output path`);
}

/**
 * Writes a model to `path`, with files of external data beside it where needed; returns the main file first. All files
 * are written under temporary names and renamed at the end: after an error ("io", "cancelled", ...) everything is as
 * before. Refuses paths of files that are open for reading, such as the model's own (code "usage").
 */
export async function writeModel(
  model: Model,
  path: string,
  options: WriteModelOptions = {},
): Promise<readonly WrittenFile[]> {
  const target = resolve(path);
  try {
    const encoded = await encodeFor(model, target, options);
    return [...(await writeFiles(dirname(target), outputs(encoded), options))].reverse();
  } catch (error) {
    throw ioError(error, "write", path);
  }
}
