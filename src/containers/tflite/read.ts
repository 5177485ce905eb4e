/** TFLite files to models. Weights stay in the file; the model remembers where it came from. */
import type { Model } from "../../ir/model.ts";
import type { ByteSource } from "../../ir/source.ts";
import { fail } from "../../numeric/errors.ts";
import { checkTflite } from "./check.ts";
import { checkStrings } from "./check-strings.ts";
import type { MetadataEntry, TfliteExtra } from "./extra.ts";
import { readGraphs } from "./graph-read.ts";
import { loadImage } from "./image.ts";
import { budget } from "./limits.ts";
import { bufferNotes, readEntry, readSignature } from "./metadata-read.ts";
import { buffersOf, inList, type Reading, remember } from "./reading.ts";
import { largeBuffers } from "./scan.ts";
import type { Table } from "./schema.ts";
import { IDENTIFIER, readRoot } from "./table-read.ts";

/** Version of the schema that this reader is for: the only one since 2017. */
const SCHEMA_VERSION = 3;

async function checkIdentifier(source: ByteSource): Promise<void> {
  const head = await source.read(0, Math.min(8, source.size));
  const found = String.fromCharCode(...head.subarray(4));
  if (head.length < 8)
    fail("format", `tflite: a file of ${source.size} bytes is too short for a model; it is truncated`);
  if (found !== IDENTIFIER)
    fail(
      "format",
      `tflite: the file has ${JSON.stringify(found)} at byte 4 where "${IDENTIFIER}" was expected; it is not a TFLite model`,
    );
}

/** The tables of a file, checked, and the fields of a newer schema that were seen. */
export async function readTables(
  source: ByteSource,
): Promise<{ readonly root: Table<"Model">; readonly newer: string | undefined }> {
  await checkIdentifier(source);
  const image = await loadImage(source, await largeBuffers(source));
  const newer: string[] = [];
  const root = readRoot({ source, image, spend: budget(image.held), newer });
  return { root, newer: newer[0] };
}

/** Texts by name; of several with one name the first counts. */
const textsOf = (entries: readonly MetadataEntry[]): Readonly<Record<string, string>> =>
  Object.fromEntries(
    entries.flatMap(({ name, text }) => (name !== undefined && text !== undefined ? [[name, text]] : [])).reverse(),
  );

function unusedCodes({ subgraphs = [], operator_codes: codes = [] }: Table<"Model">): Pick<TfliteExtra, "unusedCodes"> {
  const used = new Set(subgraphs.flatMap(({ operators = [] }) => operators.map(({ opcode_index: code = 0 }) => code)));
  const unused = [...codes.keys()].filter((code) => !used.has(code));
  return unused.length === 0 ? {} : { unusedCodes: unused };
}

async function modelOf(reading: Reading, newer: string | undefined): Promise<Model> {
  const { root, buffers, used } = reading;
  const { subgraphs: _, buffers: __, metadata, signature_defs: signatures, description, ...asRead } = root;
  const { metadata_buffer: old } = root;
  const graphs = readGraphs(reading);
  await checkStrings(graphs);
  const entries: MetadataEntry[] = [];
  for (const raw of metadata ?? []) entries.push(await readEntry(reading, raw));
  for (const buffer of old ?? []) used.add(inList(buffer, buffers.length, "an entry of metadata_buffer", "buffers"));
  const [graph, ...subgraphs] = graphs;
  const extra: TfliteExtra = {
    subgraphs,
    asRead,
    ...(signatures && { signatures: signatures.map((raw) => readSignature(raw, graphs)) }),
    ...(description !== undefined && { description }),
    ...(metadata && { metadata: entries }),
    ...(old && {
      metadataBuffers: old.map((buffer) => ({ buffer, ...(buffers[buffer] && { data: buffers[buffer] }) })),
    }),
    ...unusedCodes(root),
    buffers: bufferNotes(reading),
    ...(newer !== undefined && { newer }),
  };
  const formatVersion = root.version ?? 0;
  return { container: "tflite", graph, opsets: {}, functions: [], metadata: textsOf(entries), formatVersion, extra };
}

/**
 * Reads a TFLite model. Only its structure is loaded: every `Tensor.data` fetches bytes when asked. Fails with code
 * "format" on damage, "limit" on absurd sizes, "unsupported" for what a newer schema added, "graph" for a model that is
 * readable but not legal. Format: schema.fbs of LiteRT, version 3.
 */
export async function readTflite(source: ByteSource): Promise<Model> {
  const { root, newer } = await readTables(source);
  if (root.version !== SCHEMA_VERSION)
    fail(
      "unsupported",
      `tflite: the file has schema version ${root.version ?? 0}; only version ${SCHEMA_VERSION} can be read`,
    );
  const reading: Reading = { source, root, buffers: buffersOf(source, root), used: new Set() };
  const model = await modelOf(reading, newer);
  const complaints = checkTflite(model);
  if (complaints.length > 0) fail("graph", `tflite: the model is not legal: ${complaints.join("; ")}`);
  remember(model, source);
  return model;
}
