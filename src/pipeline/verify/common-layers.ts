/** Layer by layer through two models that already exist: every value that both have under one name. */
import type { Dataset } from "../../containers/data.ts";
import type { Engine } from "../../engines/contract.ts";
import { asNumbers } from "../../engines/numbers.ts";
import { nodeLabel } from "../../ir/edit.ts";
import type { Graph, Model, Node, ValueInfo } from "../../ir/model.ts";
import { DTYPES } from "../../numeric/dtypes.ts";
import { noErrors } from "../../numeric/metrics.ts";
import type { Host } from "../host.ts";
import type { Hooks } from "../progress.ts";
import type { LayerResult } from "../result.ts";
import { layerErrors, sumErrors, withTapped } from "./layers.ts";

const typeIn = ({ values, outputs }: Graph, name: string): ValueInfo =>
  outputs.find((port) => port.name === name) ?? values.get(name) ?? { name };

/** Float numbers, or codes that stand for such; undeclared types are taken for floats. */
const isNumeric = (graph: Graph, name: string): boolean => {
  const { dtype } = asNumbers(typeIn(graph, name));
  return dtype === undefined || DTYPES[dtype].kind === "float";
};

/** The candidate's nodes by the values that both models compute, in the candidate's order. */
function commonValues(before: Graph, after: Graph): ReadonlyMap<string, Node> {
  const known = new Set(before.nodes.flatMap(({ outputs }) => outputs));
  return new Map(
    after.nodes.flatMap((node) =>
      node.outputs
        .filter((name) => name !== "" && known.has(name) && isNumeric(before, name) && isNumeric(after, name))
        .map((name) => [name, node] as const),
    ),
  );
}

/** Error of every common value, each model on its engine. Codes are compared as what they stand for. */
export async function compareCommonLayers(
  host: Host,
  [before, after]: readonly [Model, Model],
  engines: readonly [Engine, Engine],
  data: Dataset,
  hooks: Hooks,
): Promise<readonly LayerResult[]> {
  const nodes = commonValues(before.graph, after.graph);
  const values = [...nodes.keys()];
  const work = (both: Parameters<typeof sumErrors>[0]) => sumErrors(both, values, data, hooks);
  const sums = await withTapped(host, [before, after], values, work, engines);
  return [...nodes].map(([value, node]): LayerResult => {
    const { dtype = "float32", quantization } = typeIn(after.graph, value);
    const errors = layerErrors(sums.get(value) ?? noErrors, quantization?.qparams.scale[0]);
    return { node: nodeLabel(node), op: node.op, value, kind: "activation", bits: DTYPES[dtype].bits, ...errors };
  });
}
