/** Builds what a form may see and do while one node is rewritten. */
import { freshNames, graphs } from "../ir/edit.ts";
import type { Graph, Model, Node, Tensor } from "../ir/model.ts";
import type { LowerContext, Site } from "./form.ts";

/** Constants and their uses across all graphs of a model; sub-graphs see those of the graphs around them. */
export interface Constants {
  find(scope: string, name: string): { readonly tensor: Tensor; readonly scope: string } | undefined;
  uses(scope: string, name: string): number;
}

const parentScope = (scope: string): string | undefined =>
  scope === "" ? undefined : scope.includes("/") ? scope.slice(0, scope.lastIndexOf("/")) : "";

/** A name in `scope` that a graph input hides is not a constant: it may be fed. */
export function constantsOf(model: Model): Constants {
  const byScope = new Map([...graphs(model.graph)].map(({ scope, graph }) => [scope, graph] as const));
  const find: Constants["find"] = (scope, name) => {
    for (let at: string | undefined = scope; at !== undefined; at = parentScope(at)) {
      const graph = byScope.get(at);
      if (graph === undefined || graph.inputs.some((input) => input.name === name)) return undefined;
      const tensor = graph.tensors.get(name);
      if (tensor !== undefined) return { tensor, scope: at };
    }
    return undefined;
  };
  const counts = new Map<string, number>();
  const key = (scope: string, name: string): string => `${scope}\n${name}`;
  for (const [scope, graph] of byScope)
    for (const name of [...graph.nodes.flatMap((node) => node.inputs), ...graph.outputs.map((output) => output.name)]) {
      const found = name === "" ? undefined : find(scope, name);
      if (found !== undefined) counts.set(key(found.scope, name), (counts.get(key(found.scope, name)) ?? 0) + 1);
    }
  return { find, uses: (scope, name) => counts.get(key(find(scope, name)?.scope ?? scope, name)) ?? 0 };
}

export const siteOf = (model: Model, constants: Constants, graph: Graph, scope: string, node: Node): Site => ({
  model,
  graph,
  scope,
  node,
  constant: (name) => constants.find(scope, name)?.tensor,
  uses: (name) => constants.uses(scope, name),
});

/** Everything the lowering of a whole model collects on its way. */
export interface LoweringState {
  readonly model: Model;
  readonly constants: Constants;
  readonly fresh: (wish: string) => string;
  /** New tensors by scope of the graph that gets them. */
  readonly added: Map<string, Map<string, Tensor>>;
  /** Keys asked for with `variant`, in order. */
  readonly variants: Map<Tensor, string[]>;
  readonly opsets: Record<string, number>;
}

export const loweringState = (model: Model): LoweringState => ({
  model,
  constants: constantsOf(model),
  fresh: freshNames(model.graph),
  added: new Map(),
  variants: new Map(),
  opsets: { ...model.opsets },
});

/** Context for one node. `shared` and `front` belong to the graph being rewritten. */
export function lowerContext(
  state: LoweringState,
  graph: Graph,
  scope: string,
  node: Node,
  shared: Map<string, readonly string[]>,
  front: Node[],
): LowerContext {
  const add: LowerContext["add"] = (tensor, beside) => {
    const owner = beside === undefined ? scope : (state.constants.find(scope, beside)?.scope ?? scope);
    const tensors = state.added.get(owner) ?? new Map<string, Tensor>();
    state.added.set(owner, tensors);
    if (!tensors.has(tensor.name)) tensors.set(tensor.name, tensor);
  };
  return {
    ...siteOf(state.model, state.constants, graph, scope, node),
    add,
    fresh: state.fresh,
    variant(constant, key) {
      const keys = state.variants.get(constant) ?? [];
      state.variants.set(constant, keys);
      return keys.includes(key) ? keys.indexOf(key) : keys.push(key) - 1;
    },
    once(key, make) {
      const known = shared.get(key);
      if (known !== undefined) return known;
      const { nodes, outputs } = make();
      front.push(...nodes);
      shared.set(key, outputs);
      return outputs;
    },
    need(domain, version) {
      state.opsets[domain] = Math.max(state.opsets[domain] ?? 0, version);
    },
  };
}
