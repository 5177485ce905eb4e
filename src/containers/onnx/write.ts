/** Model to ONNX files: the main one, and external data where asked for. */
import { graphs } from "../../ir/edit.ts";
import type { Model } from "../../ir/model.ts";
import { sliceSource } from "../../ir/source.ts";
import { fail } from "../../numeric/errors.ts";
import { type OutputFile, type Piece, pieceFile } from "../stream.ts";
import { type DataFile, type ExternalOptions, externalLayout } from "./external-layout.ts";
import { encodeModel, inside } from "./graph-write.ts";
import { MAX_PROTO_BYTES } from "./limits.ts";
import { type Origin, originOf } from "./reading.ts";
import type { Encoded } from "./sink.ts";

export interface EncodeOptions {
  /** Name of the main file in the result; "model.onnx" by default. */
  readonly name?: string;
  /** Moves large initializers to files beside the model; without it everything is in one file. */
  readonly external?: ExternalOptions | undefined;
}

export interface EncodedModel {
  readonly main: OutputFile;
  readonly external: readonly OutputFile[];
}

function unchanged(name: string, { source, field, files = [] }: Origin): EncodedModel {
  const main = sliceSource(source, field.offset, field.end - field.offset);
  return {
    main: pieceFile(name, main.size, [main]),
    external: files.map((file) => {
      const data = file.source ?? fail("io", `"${file.location}" is not open`);
      return pieceFile(file.location, data.size, [data]);
    }),
  };
}

function checkProtoSize(name: string, size: number): void {
  if (size <= MAX_PROTO_BYTES) return;
  fail(
    "limit",
    `"${name}" would have ${size} bytes, more than the ${MAX_PROTO_BYTES} an ONNX file may have; write the weights to an external data file (option external, for example location "${name}_data")`,
  );
}

function* withPadding({ parts }: DataFile): Generator<Piece> {
  let end = 0;
  for (const { offset, data } of parts) {
    if (offset > end) yield new Uint8Array(offset - end);
    yield data;
    end = offset + data.size;
  }
}

const dataFile = (file: DataFile): OutputFile => ({
  name: file.name,
  size: file.size,
  chunks: () => pieceFile(file.name, file.size, withPadding(file)).chunks(),
});

const mainFile = (name: string, { size, pieces }: Encoded): OutputFile => {
  checkProtoSize(name, size);
  return pieceFile(name, size, pieces);
};

/** True for a model that is just as it was read: it is written byte for byte. */
export const isUnchanged = (model: Model): boolean => originOf(model)?.files !== undefined;

/** True where some of the model's initializers are still those it was read with from external data files. */
export const hasExternalData = (model: Model): boolean =>
  [...graphs(model.graph)].some(({ graph }) =>
    [...graph.tensors.values()].some((tensor) => (originOf(tensor)?.outside ?? 0) > 0),
  );

/**
 * The files of a model; nothing is read yet but the sizes are known. An unchanged model without `external` gives the
 * bytes it was read from, external files included. Fails with code "limit" when the main file would pass 2 GiB.
 */
export function encodeOnnx(model: Model, options: EncodeOptions = {}): EncodedModel {
  const { name = "model.onnx", external } = options;
  if (model.container !== "onnx")
    fail("unsupported", `a model of container ${model.container} can't be written as ONNX`);
  const origin = originOf(model);
  if (origin && external === undefined) return unchanged(name, origin);
  if (external === undefined) return { main: mainFile(name, encodeModel(model, inside)), external: [] };
  const layout = externalLayout(external);
  const main = mainFile(name, encodeModel(model, layout.place));
  return { main, external: layout.files.map(dataFile) };
}
