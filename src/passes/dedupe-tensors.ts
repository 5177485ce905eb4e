/** Joins initializers with the same bytes: weights that were tied before they were exported. */
import { graphs, mapGraphs, withGraph } from "../ir/edit.ts";
import type { Graph, Tensor } from "../ir/model.ts";
import type { Pass } from "./pass.ts";
import { forgetValues, renameReads } from "./values.ts";

/** Below this there is nothing to gain, and small equal constants (zeros, axes) mean different things. */
const MIN_BYTES = 1024;
/** Read of every candidate to tell most of them apart. */
const PREFIX_BYTES = 4096;
const CHUNK_BYTES = 1 << 20;

export const dedupeTensors: Pass = {
  name: "dedupe-tensors",
  summary: "keep one of several identical weights",
  async apply(model) {
    const twins = new Map<string, ReadonlyMap<string, string>>();
    for (const { scope, graph } of graphs(model.graph)) twins.set(scope, await findTwins(graph));
    return withGraph(
      model,
      mapGraphs(model.graph, (graph, scope) => join(graph, twins.get(scope)!)),
    );
  },
};

/**
 * Name of a tensor -> name of the first one with the same bytes. Inputs and outputs keep their own; computed weights are
 * left out, each look at them would compute them whole.
 */
async function findTwins(graph: Graph): Promise<ReadonlyMap<string, string>> {
  const fixed = new Set([...graph.inputs, ...graph.outputs].map(({ name }) => name));
  const candidates = [...graph.tensors.values()].filter(
    ({ name, data }) => data.seekable && data.size >= MIN_BYTES && !fixed.has(name),
  );
  const twins = new Map<string, string>();
  for (const alike of groups(candidates, (tensor) => `${tensor.dtype} ${tensor.shape}`)) {
    const keys = new Map<Tensor, string>();
    for (const tensor of alike) keys.set(tensor, await prefixKey(tensor));
    for (const group of groups(alike, (tensor) => keys.get(tensor)!)) await joinEqual(group, twins);
  }
  return twins;
}

/** Groups of two or more with the same key, in order. */
function groups(tensors: readonly Tensor[], keyOf: (tensor: Tensor) => string): readonly (readonly Tensor[])[] {
  const found = new Map<string, Tensor[]>();
  for (const tensor of tensors) {
    const key = keyOf(tensor);
    const group = found.get(key);
    if (group) group.push(tensor);
    else found.set(key, [tensor]);
  }
  return [...found.values()].filter((group) => group.length > 1);
}

/** FNV-1a over the first bytes: a filter only, equality is checked byte by byte. */
async function prefixKey({ data }: Tensor): Promise<string> {
  const bytes = await data.read(0, Math.min(PREFIX_BYTES, data.size));
  let hash = 0x811c9dc5;
  for (let i = 0; i < bytes.length; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193);
  return String(hash >>> 0);
}

async function joinEqual(group: readonly Tensor[], twins: Map<string, string>): Promise<void> {
  const firsts: Tensor[] = [];
  for (const tensor of group) {
    const first = await findEqual(tensor, firsts);
    if (first === undefined) firsts.push(tensor);
    else twins.set(tensor.name, first.name);
  }
}

async function findEqual(tensor: Tensor, firsts: readonly Tensor[]): Promise<Tensor | undefined> {
  for (const first of firsts) if (await sameBytes(first, tensor)) return first;
  return undefined;
}

async function sameBytes(a: Tensor, b: Tensor): Promise<boolean> {
  for (let at = 0; at < a.data.size; at += CHUNK_BYTES) {
    const length = Math.min(CHUNK_BYTES, a.data.size - at);
    if (!equal(await a.data.read(at, length), await b.data.read(at, length))) return false;
  }
  return true;
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

function join(graph: Graph, twins: ReadonlyMap<string, string>): Graph {
  if (twins.size === 0) return graph;
  const nodes = graph.nodes.map((node) => renameReads(node, twins));
  const tensors = new Map([...graph.tensors].filter(([name]) => !twins.has(name)));
  return { ...graph, nodes, tensors, values: forgetValues(graph.values, twins.keys()) };
}
