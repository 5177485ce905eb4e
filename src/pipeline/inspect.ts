/** What is inside a model, and what fewbit could do with it. */
import { dialectOf } from "../ir/dialects.ts";
import { graphs } from "../ir/edit.ts";
import type { Graph, Model, Tensor, ValueInfo } from "../ir/model.ts";
import { constantsOf, siteOf } from "../lowering/context.ts";
import type { Site } from "../lowering/form.ts";
import { FORMS } from "../lowering/index.ts";
import { elementCount } from "../numeric/dtypes.ts";
import { SCHEMES } from "../recipes/schemes.ts";
import { holdsWeights, integerNodes } from "./plan.ts";
import type { InspectReport, ModelSummary, OpSummary, PortSummary } from "./result.ts";

const LARGEST = 10;
const MAX_REASONS = 5;

/** Everything `fewbit inspect` prints but the file's own facts. */
export type Contents = Omit<InspectReport, "kind" | "model" | "findings">;

/** Inputs, outputs, weights by type, ops with what can be quantized and what can't; reads no weights. */
export function inspectModel(model: Model): Contents {
  const tensors = [...graphs(model.graph)].flatMap(({ graph }) => [...graph.tensors.values()]);
  return {
    container: model.container,
    formatVersion: model.formatVersion,
    opsets: model.opsets,
    ...(model.producer ? { producer: `${model.producer.name} ${model.producer.version}`.trim() } : {}),
    inputs: realInputs(model.graph).map(port),
    outputs: model.graph.outputs.map(port),
    parameters: tensors.reduce((sum, { shape }) => sum + elementCount(shape), 0),
    weights: byDtype(tensors),
    ops: opSummaries(model),
    largest: largestOf(tensors),
  };
}

/** Number of nodes, sub-graphs included, and the default operator set. */
export const modelFacts = (model: Model): Pick<ModelSummary, "ops" | "opset"> => ({
  ops: [...graphs(model.graph)].reduce((sum, { graph }) => sum + graph.nodes.length, 0),
  ...(model.opsets[""] === undefined ? {} : { opset: model.opsets[""] }),
});

/** Inputs a caller must feed: old files also list initializers. */
export const realInputs = (graph: Graph): readonly ValueInfo[] =>
  graph.inputs.filter(({ name }) => !graph.tensors.has(name));

const port = ({ name, dtype, shape }: ValueInfo): PortSummary => ({
  name,
  dtype: dtype ?? "unknown",
  ...(shape ? { shape } : {}),
});

/** What is asked of a tensor that is listed; the type is a name. */
type Listed = Pick<Tensor, "name" | "shape" | "data"> & { readonly dtype: string };

/** Number and bytes of tensors for each type, most bytes first. */
export function byDtype(tensors: readonly Listed[]): InspectReport["weights"] {
  const found = new Map<string, { tensors: number; bytes: number }>();
  for (const { dtype, data } of tensors) {
    const row = found.get(dtype) ?? { tensors: 0, bytes: 0 };
    found.set(dtype, { tensors: row.tensors + 1, bytes: row.bytes + data.size });
  }
  return [...found].map(([dtype, row]) => ({ dtype, ...row })).sort((a, b) => b.bytes - a.bytes);
}

/** The tensors with most bytes. */
export const largestOf = (tensors: readonly Listed[]): InspectReport["largest"] =>
  tensors
    .map(({ name, dtype, shape, data }) => ({ name, dtype, shape, bytes: data.size }))
    .sort((a, b) => b.bytes - a.bytes)
    .slice(0, LARGEST);

interface Gathered {
  count: number;
  weightBytes: number;
  quantizable: number;
  readonly reasons: Set<string>;
}

function opSummaries(model: Model): readonly OpSummary[] {
  const constants = constantsOf(model);
  const integers = integerNodes(model);
  const found = new Map<string, Gathered>();
  for (const { scope, graph } of graphs(model.graph))
    for (const node of graph.nodes) {
      const row = found.get(node.op) ?? { count: 0, weightBytes: 0, quantizable: 0, reasons: new Set<string>() };
      found.set(node.op, row);
      gather(row, siteOf(model, constants, graph, scope, node), integers.has(node));
    }
  return [...found]
    .map(([op, { reasons, ...row }]) => ({ op, ...row, reasons: [...reasons].slice(0, MAX_REASONS) }))
    .sort((a, b) => b.weightBytes - a.weightBytes || b.count - a.count || a.op.localeCompare(b.op));
}

function gather(row: Gathered, site: Site, isInteger: boolean): void {
  row.count++;
  row.weightBytes += site.node.inputs.reduce((sum, name) => sum + (site.constant(name)?.data.size ?? 0), 0);
  const computes = dialectOf(site.model).row(site.node)?.static(site.node).as === "compute";
  if (isInteger || (computes && holdsWeights(site))) {
    row.quantizable++;
    return;
  }
  const answers = steps(site.model).map(({ form, scheme }) => FORMS[form]?.fits(site, scheme));
  if (answers.some((answer) => typeof answer === "object")) row.quantizable++;
  else if (holdsWeights(site)) for (const answer of answers) if (typeof answer === "string") row.reasons.add(answer);
}

const steps = ({ container }: Model) => [...SCHEMES[container].values()].flatMap((scheme) => scheme.steps);
