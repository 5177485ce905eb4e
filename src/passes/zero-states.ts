/** Initial states of recurrent layers that are zeros are left out, as zeros they are by default: torch.export writes them, for one batch. */
import { withGraph } from "../ir/edit.ts";
import type { Node } from "../ir/model.ts";
import { readAll } from "../ir/source.ts";
import type { Pass } from "./pass.ts";
import { constantsIn, type FindConstant } from "./values.ts";

/** Inputs that hold initial states (ONNX operators RNN, GRU, LSTM). */
const STATES: Readonly<Record<string, readonly number[]>> = { RNN: [5], GRU: [5], LSTM: [5, 6] };
/** Larger states are not looked at. */
const MAX_BYTES = 2 ** 20;

export const zeroStates: Pass = {
  name: "zero-states",
  summary: "leave out initial states of recurrent layers that are zeros",
  async apply(model) {
    const { graph } = model;
    const constant = constantsIn(graph);
    const nodes = await Promise.all(graph.nodes.map((node) => withoutZeros(node, constant)));
    return nodes.every((node, index) => node === graph.nodes[index]) ? model : withGraph(model, { ...graph, nodes });
  },
};

async function withoutZeros(node: Node, constant: FindConstant): Promise<Node> {
  const states = node.domain === "" && Object.hasOwn(STATES, node.op) ? STATES[node.op]! : [];
  const zeros = new Set<string>();
  for (const at of states) if (await isZeros(node.inputs[at] ?? "", constant)) zeros.add(node.inputs[at]!);
  if (zeros.size === 0) return node;
  return { ...node, inputs: node.inputs.map((name, at) => (states.includes(at) && zeros.has(name) ? "" : name)) };
}

async function isZeros(name: string, constant: FindConstant): Promise<boolean> {
  const tensor = constant(name);
  if (tensor === undefined || tensor.data.size > MAX_BYTES) return false;
  return (await readAll(tensor.data)).every((byte) => byte === 0);
}
