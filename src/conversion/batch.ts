/** Follows the samples from the inputs to the outputs of a TFLite graph. */
import { nodeLabel } from "../ir/edit.ts";
import type { Graph, Node, ValueInfo } from "../ir/model.ts";
import type { BatchSite, BatchState, Dims } from "./batch-state.ts";
import { isSamples } from "./batch-state.ts";
import type { ConversionRow } from "./row.ts";

/** Which values have samples along axis 0; or why the batch stays as the file has it. */
export type Batch =
  | { readonly states: ReadonlyMap<string, BatchState>; readonly reason?: undefined }
  | { readonly states?: undefined; readonly reason: string };

/** What is known of the graph's values, and of its ops. */
export interface Facts {
  dims(name: string): Dims;
  ints(name: string): readonly number[] | undefined;
  rowOf(node: Node): ConversionRow;
}

const firstAxis = ({ shape }: ValueInfo): number | null | undefined => {
  const dim = shape?.[0];
  return typeof dim === "string" ? null : dim;
};

/** The length of the first axis of all inputs; undefined where they differ. */
function batchLength({ inputs }: Graph): number | null | undefined {
  const [first] = inputs;
  const length = first && firstAxis(first);
  return inputs.every((input) => firstAxis(input) === length) && length !== 0 ? length : undefined;
}

/** Open axes count as one row; others must be a multiple of the batch. */
const rowsOf =
  (batch: number | null) =>
  (length: number | null | undefined): number | undefined => {
    if (length === null) return 1;
    if (length === undefined || batch === null) return undefined;
    return length > 0 && length % batch === 0 ? length / batch : undefined;
  };

/** Where the samples are, when every node works on one sample like on many. */
export function batchOf(graph: Graph, { dims, ints, rowOf }: Facts): Batch {
  const batch = batchLength(graph);
  if (batch === undefined) return { reason: "the inputs do not begin with the same axis" };
  const states = new Map<string, BatchState>(graph.inputs.map(({ name }) => [name, { rows: 1 }]));
  for (const node of graph.nodes) {
    if (!node.inputs.some((name) => states.has(name))) continue;
    const site: BatchSite = { node, dims, ints, state: (name) => states.get(name), rowsIn: rowsOf(batch) };
    const state = rowOf(node).batch(site);
    if (state !== undefined && "reason" in state)
      return { reason: `node "${nodeLabel(node)}" (${node.op}) allows no other: ${state.reason}` };
    if (state !== undefined) for (const name of node.outputs) states.set(name, state);
  }
  const fixed = graph.outputs.find(({ name }) => !isSamples(states.get(name)));
  return fixed === undefined ? { states } : { reason: `output "${fixed.name}" does not begin with it` };
}
