/** ModelProto to Model. Weights stay in the file; objects remember where they came from. */
import type { Model } from "../../ir/model.ts";
import type { ByteSource } from "../../ir/source.ts";
import { fail } from "../../numeric/errors.ts";
import { opsetsOf, readFunction, readGraph } from "./graph-read.ts";
import { tally } from "./limits.ts";
import { decode } from "./message-read.ts";
import { type ExternalFile, extraOf, type Reading, remember, rememberFiles } from "./reading.ts";
import { scanModel } from "./scan.ts";
import type { Field } from "./wire.ts";

function metadataOf(reading: Reading, messages: readonly Field[]): Readonly<Record<string, string>> {
  const entries = messages.map((message) => decode("StringStringEntryProto", message, reading.tally));
  return Object.fromEntries(entries.map(({ key, value }) => [key ?? "", value ?? ""]));
}

/** Operator sets are required from IR version 3 on; before there was only the first. */
function modelOpsets(reading: Reading, messages: readonly Field[], irVersion: number): Model["opsets"] {
  if (messages.length > 0) return opsetsOf(reading, messages, "the model");
  if (irVersion < 3) return { "": 1 };
  return fail("format", "onnx: the model imports no operator set (opset_import); the file is truncated or damaged");
}

function modelOf(reading: Reading, message: Field): Model {
  const proto = decode("ModelProto", message, reading.tally);
  if (proto.irVersion === undefined || proto.graph === undefined)
    return fail(
      "format",
      `onnx: the file has no ${proto.graph ? "IR version" : "graph"}; it is truncated or not an ONNX model`,
    );
  const formatVersion = Number(proto.irVersion);
  return {
    container: "onnx",
    graph: readGraph(reading, proto.graph),
    opsets: modelOpsets(reading, proto.opsetImport, formatVersion),
    functions: proto.functions.map((found) => readFunction(reading, found)),
    metadata: metadataOf(reading, proto.metadataProps),
    formatVersion,
    ...((proto.producerName !== undefined || proto.producerVersion !== undefined) && {
      producer: { name: proto.producerName ?? "", version: proto.producerVersion ?? "" },
    }),
    ...extraOf(reading, "ModelProto", proto.rest),
  };
}

export interface ReadOptions {
  /** Opens a file of external data by its location, a checked path relative to the model's folder. */
  readonly external?: (location: string) => Promise<ByteSource>;
  /**
   * Takes graphs that hold an initializer twice: ONNX Runtime 1.30.0 writes those of sub-graphs so when it saves its
   * optimized graph with the weights in a file of their own.
   */
  readonly repeats?: boolean;
}

async function openExternal(file: ExternalFile, options: ReadOptions): Promise<void> {
  const first = `tensor "${file.uses[0]?.tensor}"`;
  if (options.external === undefined)
    fail("usage", `onnx: ${first} is kept in "${file.location}"; give that file too, or open the model by its path`);
  const source = await options.external(file.location);
  for (const { tensor, end } of file.uses)
    if (end > source.size)
      fail(
        "format",
        `onnx: tensor "${tensor}" needs ${end} bytes of "${file.location}", which has ${source.size}; the file is truncated or belongs to another model`,
      );
  file.source = source;
}

/**
 * Reads an ONNX model. Only its structure is loaded: every `Tensor.data` fetches bytes when asked. Fails with code
 * "format" on damage, "limit" on absurd sizes, "usage" when external data is needed and `options.external` is absent.
 * Format: onnx.proto of ONNX 1.23.
 */
export async function readOnnx(source: ByteSource, options: ReadOptions = {}): Promise<Model> {
  const counted = tally();
  const root = await scanModel(source, counted);
  const external = new Map<string, ExternalFile>();
  const { repeats = false } = options;
  const reading: Reading = { source, tally: counted, external, checks: [], repeats, depth: 0, tensors: 0, outside: 0 };
  const model = remember(reading, root, () => modelOf(reading, root));
  for (const file of external.values()) await openExternal(file, options);
  for (const check of reading.checks) await check();
  rememberFiles(model, [...external.values()]);
  return model;
}
