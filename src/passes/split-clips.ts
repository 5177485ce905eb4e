/**
 * A Clip whose bounds don't include zero, or are computed at run time, becomes Max and Min. The Clips that are left can
 * give way to the grid of the QuantizeLinear behind them, which always includes zero.
 */
import { node as makeNode } from "../ir/build.ts";
import { freshNames, withGraph } from "../ir/edit.ts";
import type { Model, Node } from "../ir/model.ts";
import { BOUNDS_ARE_INPUTS, removableActivation } from "./clamps.ts";
import type { Pass } from "./pass.ts";
import { constantsIn, type FindConstant } from "./values.ts";

export const splitClips: Pass = {
  name: "split-clips",
  summary: "write Clip as Max and Min where its bounds leave out zero or are computed",
  async apply(model) {
    if ((model.opsets[""] ?? 0) < BOUNDS_ARE_INPUTS) return model;
    const { graph } = model;
    const constant = constantsIn(graph);
    const stays = await Promise.all(graph.nodes.map((node) => isGridLike(node, constant)));
    if (stays.every(Boolean)) return model;
    return withGraph(model, { ...graph, nodes: split(model, stays) });
  },
};

async function isGridLike(node: Node, constant: FindConstant): Promise<boolean> {
  if (node.op !== "Clip" || node.domain !== "") return true;
  const bounds = await removableActivation(node, constant);
  return bounds !== undefined && bounds.min <= 0 && bounds.max >= 0;
}

function split(model: Model, stays: readonly boolean[]): readonly Node[] {
  const fresh = freshNames(model.graph);
  return model.graph.nodes.flatMap((node, index) => {
    if (stays[index]) return [node];
    const [data, low = "", high = ""] = node.inputs;
    const raised = high === "" ? node.outputs[0]! : fresh(`${node.outputs[0]}_max`);
    const max =
      low === "" ? [] : [makeNode("Max", [data!, low], [raised], { name: fresh(`${node.name || raised}_max`) })];
    const min = makeNode("Min", [low === "" ? data! : raised, high], node.outputs, { name: node.name });
    return high === "" ? max : [...max, min];
  });
}
