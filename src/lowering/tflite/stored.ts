/** Weights as codes around nodes that compute in float: the kernel takes codes (hybrid), or a DEQUANTIZE stands in front. */
import { weightAt } from "../../ir/dialect.ts";
import type { Node, Tensor } from "../../ir/model.ts";
import type { NodePlan } from "../../ir/plan.ts";
import { fail } from "../../numeric/errors.ts";
import { weightKey } from "../given.ts";
import { blockedWeight } from "./blocks.ts";
import { convert, declareFloats, type State } from "./state.ts";
import { type BiasSite, codedWeight, halves, type WeightPlan } from "./weights.ts";

/** Whether every reader of a weight takes the same codes of it; they may then have its name. */
function isAlone({ graph, plans }: State, entry: NodePlan): boolean {
  const { tensor } = entry.weight!;
  const readers = graph.nodes.filter(({ inputs }) => inputs.includes(tensor));
  return readers.length === 1 && plans.get(readers[0]!) === entry && !graph.outputs.some(({ name }) => name === tensor);
}

/** The codes of a planned weight; nodes that share it share them, where biases allow it. */
export async function weightCodes(state: State, entry: NodePlan, site?: BiasSite): Promise<Tensor> {
  const weight = entry.weight ?? fail("graph", `"${entry.node}": the plan names no weight`);
  const key = JSON.stringify([weight.tensor, weightKey(weight), entry.form === "dequantize", site?.bias?.name ?? ""]);
  const known = state.weights.get(key);
  if (known !== undefined) return known;
  const tensor = state.graph.tensors.get(weight.tensor)!;
  const alone = entry.form !== "dequantize" && isAlone(state, entry);
  const name = alone ? tensor.name : state.fresh(`${tensor.name}/${weight.scheme.dtype}`);
  const coded = await madeCodes(state, tensor, weight, name, site);
  state.tensors.set(name, coded);
  state.weights.set(key, coded);
  return coded;
}

/** Codes with their grids beside them, or in a tensor of their own. */
async function madeCodes(state: State, tensor: Tensor, weight: WeightPlan, name: string, site?: BiasSite) {
  const { granularity } = weight.scheme;
  if (granularity.per !== "group") return codedWeight(tensor, weight, name, site);
  const names = { codes: name, scales: state.fresh(`${tensor.name}/scales`) };
  const { codes, scales } = await blockedWeight(tensor, weight, granularity.size, names);
  state.tensors.set(scales.name, scales);
  return codes;
}

/** Fully connected kernels find better ranges of activations with a zero point (schema: asymmetric_quantize_inputs). */
const asymmetric = (node: Node): Node =>
  node.op === "FULLY_CONNECTED"
    ? { ...node, attributes: { ...node.attributes, asymmetric_quantize_inputs: { type: "int", value: 1 } } }
    : node;

/** A node whose kernel takes the codes of its weight and quantizes what comes in by itself. */
export async function hybridNode(state: State, node: Node, entry: NodePlan): Promise<Node> {
  const coded = await weightCodes(state, entry);
  const inputs = node.inputs.map((name, i) => (i === entry.weight!.input ? coded.name : name));
  return asymmetric({ ...node, inputs });
}

/** A constant that is stored as `coded`, as floats: decoded by one DEQUANTIZE for all that read it so. */
function decoded(state: State, { name, shape }: Tensor): string {
  const known = state.floats.get(name);
  if (known !== undefined) return known;
  const floats = state.fresh(`${name}/float`);
  state.types.set(floats, { name: floats, dtype: "float32", shape });
  convert(state, "DEQUANTIZE", name, floats);
  state.floats.set(name, floats);
  return floats;
}

/**
 * The bias beside a weight in half precision, in half precision too: the runtime unpacks the constants of a node once, when it
 * loads the model, only where all of them are stored so.
 */
function halfBias(state: State, node: Node, entry: NodePlan): readonly [slot: number, name: string] | undefined {
  const row = weightAt(state.dialect, node, entry.weight!.input);
  const bias = row?.bias === undefined ? undefined : state.graph.tensors.get(node.inputs[row.bias] ?? "");
  if (entry.weight!.scheme.dtype !== "float16" || bias?.dtype !== "float32") return undefined;
  const key = `half ${bias.name}`;
  const coded = state.weights.get(key) ?? halves(bias, state.fresh(`${bias.name}/float16`));
  state.weights.set(key, coded);
  state.tensors.set(coded.name, coded);
  return [row!.bias!, decoded(state, coded)];
}

/** A node that reads its weight as floats. */
export async function dequantizedNode(state: State, node: Node, entry: NodePlan): Promise<Node> {
  const inputs = [...node.inputs];
  inputs[entry.weight!.input] = decoded(state, await weightCodes(state, entry));
  const bias = halfBias(state, node, entry);
  if (bias !== undefined) inputs[bias[0]] = bias[1];
  return { ...node, inputs };
}

/** Name of the floats of a value that was made as codes. */
export function floatsOf(state: State, name: string): string {
  const codes = state.codes.get(name);
  if (codes === undefined || state.graph.tensors.has(name)) return name;
  const known = state.floats.get(name);
  if (known !== undefined) return known;
  const floats = state.fresh(`${name}/float`);
  declareFloats(state, floats, name);
  convert(state, "DEQUANTIZE", codes, floats);
  state.floats.set(name, floats);
  return floats;
}
