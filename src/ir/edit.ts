/** Questions about a graph and the few edits that passes and lowerings share. */
import { subgraphs } from "./attributes.ts";
import type { Graph, Model, Node, Tensor } from "./model.ts";

/** Name of a node for people: its own, or its first output. */
export const nodeLabel = (node: Node): string => node.name || node.outputs.find((output) => output !== "") || node.op;

/** Scope of a sub-graph inside the graph with scope `parent`; see `Place` in plan.ts. */
export const childScope = (parent: string, node: Node, attribute: string): string =>
  `${parent === "" ? "" : `${parent}/`}${nodeLabel(node)}.${attribute}`;

/** Every graph of the model, outer ones first, with its scope. */
export function* graphs(root: Graph, scope = ""): Generator<{ readonly scope: string; readonly graph: Graph }> {
  yield { scope, graph: root };
  for (const node of root.nodes)
    for (const sub of subgraphs(node)) yield* graphs(sub.graph, childScope(scope, node, sub.attribute));
}

/** Op types anywhere in the model. */
export const opTypes = ({ graph }: Model): ReadonlySet<string> =>
  new Set([...graphs(graph)].flatMap(({ graph: { nodes } }) => nodes.map(({ op }) => op)));

/** Names a node reads, those its sub-graphs capture from outside included. */
export function reads(node: Node): readonly string[] {
  const captured = subgraphs(node).flatMap(({ graph }) => freeNames(graph));
  const own = node.inputs.filter((name) => name !== "");
  return captured.length === 0 ? own : [...own, ...captured];
}

/** Names a graph uses but does not define: values of the graphs around it. */
export function freeNames(graph: Graph): readonly string[] {
  const inputs = graph.inputs.map((input) => input.name);
  const defined = new Set<string>([...inputs, ...graph.tensors.keys(), ...(graph.opaque ?? [])]);
  for (const node of graph.nodes) for (const output of node.outputs) defined.add(output);
  const used = [...graph.nodes.flatMap(reads), ...graph.outputs.map((output) => output.name)];
  return [...new Set(used.filter((name) => !defined.has(name)))];
}

/** For each value: the nodes that read it (sub-graphs' captures count for the node that holds them). */
export function consumers(graph: Graph): ReadonlyMap<string, readonly Node[]> {
  const found = new Map<string, Node[]>();
  for (const node of graph.nodes)
    for (const name of new Set(reads(node))) {
      const list = found.get(name);
      if (list) list.push(node);
      else found.set(name, [node]);
    }
  return found;
}

/** For each value: the node that makes it. */
export const producers = (graph: Graph): ReadonlyMap<string, Node> =>
  new Map(
    graph.nodes.flatMap((node) => node.outputs.filter((name) => name !== "").map((name) => [name, node] as const)),
  );

/** Applies `edit` to every graph, inner ones first; the same objects come back where nothing changed. */
export function mapGraphs(root: Graph, edit: (graph: Graph, scope: string) => Graph, scope = ""): Graph {
  let changed = false;
  const nodes = root.nodes.map((node) => {
    const next = mapSubgraphs(node, (graph, attribute) => mapGraphs(graph, edit, childScope(scope, node, attribute)));
    if (next !== node) changed = true;
    return next;
  });
  return edit(changed ? { ...root, nodes } : root, scope);
}

/** Replaces a node's sub-graphs; the same node comes back where none changed. */
export function mapSubgraphs(node: Node, edit: (graph: Graph, attribute: string) => Graph): Node {
  let changed = false;
  const attributes = { ...node.attributes };
  for (const [name, attribute] of Object.entries(node.attributes)) {
    if (attribute.type === "graph") {
      const value = edit(attribute.value, name);
      if (value !== attribute.value) attributes[name] = { type: "graph", value };
    } else if (attribute.type === "graphs") {
      const value = attribute.value.map((graph, index) => edit(graph, `${name}[${index}]`));
      if (value.some((graph, index) => graph !== attribute.value[index])) attributes[name] = { type: "graphs", value };
    }
    if (attributes[name] !== attribute) changed = true;
  }
  return changed ? { ...node, attributes } : node;
}

/** `model` with another main graph; the same model when the graph is the same. */
export const withGraph = (model: Model, graph: Graph): Model => (graph === model.graph ? model : { ...model, graph });

/** `graph` with tensors added or replaced, and others removed. */
export function withTensors(graph: Graph, add: readonly Tensor[], remove: Iterable<string> = []): Graph {
  const tensors = new Map(graph.tensors);
  for (const name of remove) tensors.delete(name);
  for (const tensor of add) tensors.set(tensor.name, tensor);
  return { ...graph, tensors };
}

/** Makes names no value, tensor or node of the model uses yet, sub-graphs included. */
export function freshNames(root: Graph): (wish: string) => string {
  const taken = new Set<string>();
  for (const { graph } of graphs(root)) {
    for (const { name } of [...graph.inputs, ...graph.outputs]) taken.add(name);
    for (const name of [...graph.tensors.keys(), ...(graph.opaque ?? [])]) taken.add(name);
    for (const node of graph.nodes) {
      taken.add(node.name);
      for (const name of [...node.inputs, ...node.outputs]) taken.add(name);
    }
  }
  const last = new Map<string, number>();
  return (wish) => {
    let name = wish;
    let number = last.get(wish) ?? 0;
    while (taken.has(name)) name = `${wish}_${++number}`;
    last.set(wish, number);
    taken.add(name);
    return name;
  };
}
