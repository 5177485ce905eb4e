/** Signatures and metadata of a model to tables. */
import type { Model } from "../../ir/model.ts";
import { bytesSource } from "../../ir/source.ts";
import { fail } from "../../numeric/errors.ts";
import type { BufferPlan } from "./buffer-plan.ts";
import { type MetadataEntry, type Signature, type SignatureValue, tfliteExtra } from "./extra.ts";
import type { PlannedGraph } from "./graph-write.ts";
import type { Table } from "./schema.ts";
import { kept } from "./tensor-write.ts";

type Maps = readonly Table<"TensorMap">[];

const mapsOf = (values: readonly SignatureValue[], before: Maps | undefined, graph: PlannedGraph): Maps =>
  values.map(({ name, value }, at) => {
    const number = kept(before?.[at]?.tensor_index, graph.index(value));
    return { ...(name !== undefined && { name }), ...(number !== undefined && { tensor_index: number }) };
  });

/** The table of a signature. */
export function signatureTable(signature: Signature, graphs: readonly PlannedGraph[]): Table<"SignatureDef"> {
  const { key, subgraph, inputs, outputs, asRead } = signature;
  const graph =
    graphs[subgraph] ??
    fail("graph", `tflite: signature "${key ?? ""}" is of subgraph ${subgraph}, but there are ${graphs.length}`);
  const number = kept(asRead?.subgraph_index, subgraph);
  return {
    ...(asRead?.deprecated_tag !== undefined && { deprecated_tag: asRead.deprecated_tag }),
    ...(key !== undefined && { signature_key: key }),
    ...(inputs && { inputs: mapsOf(inputs, asRead?.inputs, graph) }),
    ...(outputs && { outputs: mapsOf(outputs, asRead?.outputs, graph) }),
    ...(number !== undefined && { subgraph_index: number }),
  };
}

const utf8 = new TextEncoder();
const ofText = (name: string, text: string): MetadataEntry => ({ name, data: bytesSource(utf8.encode(text)), text });

/** Entries of metadata: as read, changed where the model's texts were, without removed ones, new ones at the end. */
export function entriesOf(model: Model): readonly MetadataEntry[] {
  const seen = new Set<string>();
  const old = (tfliteExtra(model).metadata ?? []).flatMap((entry): readonly MetadataEntry[] => {
    const { name, text } = entry;
    if (name === undefined || text === undefined || seen.has(name)) return [entry];
    seen.add(name);
    if (!Object.hasOwn(model.metadata, name)) return [];
    return model.metadata[name] === text ? [entry] : [ofText(name, model.metadata[name]!)];
  });
  const added = Object.entries(model.metadata).filter(([name]) => !seen.has(name));
  return [...old, ...added.map(([name, text]) => ofText(name, text))];
}

/** A place in the buffers for an entry's content. */
export const claimEntry = ({ data, asRead }: MetadataEntry, buffers: BufferPlan): number =>
  buffers.claim(asRead && (asRead.buffer ?? 0), data, "metadata");

/** The table of an entry; `buffer` is the number of its content. */
export function entryTable({ name, asRead }: MetadataEntry, buffer: number): Table<"Metadata"> {
  const number = kept(asRead?.buffer, buffer);
  return { ...(name !== undefined && { name }), ...(number !== undefined && { buffer: number }) };
}
