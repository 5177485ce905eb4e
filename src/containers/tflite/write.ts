/** Models to TFLite files. */
import type { Graph, Model } from "../../ir/model.ts";
import { fail } from "../../numeric/errors.ts";
import type { EncodedModel } from "../onnx/index.ts";
import { pieceFile } from "../stream.ts";
import { type BufferPlan, bufferPlan } from "./buffer-plan.ts";
import { type CodePlan, codePlan } from "./code-plan.ts";
import { type TfliteExtra, tfliteExtra } from "./extra.ts";
import { graphTable, type PlannedGraph, planGraph } from "./graph-write.ts";
import { claimEntry, entriesOf, entryTable, signatureTable } from "./metadata-write.ts";
import { originOf } from "./reading.ts";
import type { Table } from "./schema.ts";
import { writeRoot } from "./table-write.ts";

/** Names that signatures use in graph `index`. */
const signed = ({ signatures = [] }: TfliteExtra, index: number): readonly string[] =>
  signatures
    .filter(({ subgraph }) => subgraph === index)
    .flatMap(({ inputs = [], outputs = [] }) => [...inputs, ...outputs].map(({ value }) => value));

function plan(model: Model, extra: TfliteExtra, buffers: BufferPlan, codes: CodePlan): readonly PlannedGraph[] {
  const graphs: readonly Graph[] = [model.graph, ...extra.subgraphs];
  return graphs.map((graph, index) => planGraph(graph, `subgraph ${index}`, signed(extra, index), buffers, codes));
}

/** The model as tables. */
export function modelTable(model: Model): Table<"Model"> {
  const extra = tfliteExtra(model);
  const { asRead, signatures, description, metadata } = extra;
  const buffers = bufferPlan(extra.buffers ?? []);
  const codes = codePlan(asRead?.operator_codes ?? [], extra.unusedCodes ?? []);
  const graphs = plan(model, extra, buffers, codes);
  const entries = entriesOf(model);
  const places = entries.map((entry) => claimEntry(entry, buffers));
  const old = extra.metadataBuffers?.map(({ buffer, data }) => buffers.claim(buffer, data, "metadata"));
  return {
    ...asRead,
    version: model.formatVersion,
    operator_codes: codes.tables(),
    subgraphs: graphs.map((planned) => graphTable(planned, buffers, codes)),
    buffers: buffers.tables(),
    ...(description !== undefined && { description }),
    ...(old && { metadata_buffer: old.map((place) => buffers.number(place)) }),
    ...((metadata || entries.length > 0) && {
      metadata: entries.map((entry, at) => entryTable(entry, buffers.number(places[at]!))),
    }),
    ...(signatures && { signature_defs: signatures.map((signature) => signatureTable(signature, graphs)) }),
  };
}

/** True for a model that is just as it was read: it is written byte for byte. */
export const isUnchanged = (model: Model): boolean => originOf(model) !== undefined;

/**
 * The file of a model; nothing is read yet but its size is known. An unchanged model gives the bytes it was read from.
 * Ops get the version their types ask for. Fails with code "limit" when it would pass 2 GiB, "graph" for what TFLite
 * cannot hold.
 */
export function encodeTflite(model: Model, options: { readonly name?: string } = {}): EncodedModel {
  const { name = "model.tflite" } = options;
  if (model.container !== "tflite")
    fail("unsupported", `a model of container ${model.container} can't be written as TFLite`);
  const origin = originOf(model);
  if (origin) return { main: pieceFile(name, origin.size, [origin]), external: [] };
  const { newer } = tfliteExtra(model);
  if (newer !== undefined)
    fail("unsupported", `tflite: the model has ${newer}, which this version of fewbit does not know and would lose`);
  const { size, pieces } = writeRoot(modelTable(model));
  return { main: pieceFile(name, size, pieces), external: [] };
}
