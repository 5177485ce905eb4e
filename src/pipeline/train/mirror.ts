/**
 * A plan for a TFLite model as one for the ONNX model it was converted to: the same grids at the same places, so that what
 * is trained there is what LiteRT will compute.
 */
import type { Converted, Origin } from "../../conversion/index.ts";
import { nodeLabel, producers } from "../../ir/edit.ts";
import type { Model, Node } from "../../ir/model.ts";
import type { NodePlan, Plan, ValuePlan } from "../../ir/plan.ts";
import { scaleOwner } from "../../ir/scale-owner.ts";
import type { QParams } from "../../ir/scheme.ts";
import { codedWeight } from "../../lowering/tflite/weights.ts";
import { elementCount } from "../../numeric/dtypes.ts";
import { movesCodes, type QatStart } from "../../train/qat/insert.ts";

type WeightPlan = NonNullable<NodePlan["weight"]>;

/** The plan of the converted model, and what becomes of its grids. */
export interface Mirror {
  readonly plan: Plan;
  /** Values of the converted model whose grids are given: by the op, or by the model itself. */
  readonly fixed: ReadonlySet<string>;
  /** Learned grids of the converted model as those of the TFLite plan; what has no equal there is left out. */
  grids(learned: QatStart): QatStart;
}

/** Nodes of the converted model by the TFLite node that they compute. */
function ownersOf({ graph }: Model, { model, values }: Converted): ReadonlyMap<Node, Node> {
  const made = producers(model.graph);
  const known = new Set(values.values());
  const owners = new Map<Node, Node>();
  for (const owner of graph.nodes) {
    const open = owner.outputs.map((name) => values.get(name));
    while (open.length > 0) {
      const node = made.get(open.pop() ?? "");
      if (node === undefined || owners.has(node)) continue;
      owners.set(node, owner);
      open.push(...node.inputs.filter((name) => !known.has(name)));
    }
  }
  return owners;
}

/** A weight where the converted model has it, on the grid that post-training quantization would take. */
async function mirroredWeight(
  { graph }: Model,
  weight: WeightPlan,
  { perm }: Origin,
  { tensor, input, shape }: Pick<WeightPlan, "tensor" | "input" | "shape">,
): Promise<WeightPlan> {
  const own = graph.tensors.get(weight.tensor)!;
  const { quantization } = await codedWeight(own, weight, weight.tensor);
  const axis = perm.indexOf(weight.axis + perm.length - weight.shape.length);
  return { ...weight, tensor, input, shape, axis, ...(quantization && { qparams: quantization.qparams }) };
}

/** The weight input of a node of the converted model that a TFLite entry is about. */
function weightSlot({ inputs }: Node, { origins }: Converted, { weight }: NodePlan): number {
  return weight === undefined ? -1 : inputs.findIndex((name) => origins.get(name)?.tensor === weight.tensor);
}

/** Entries of the converted model with the TFLite entries they stand for. */
async function mirroredNodes(source: Model, plan: Plan, converted: Converted) {
  const { nodes, tensors } = converted.model.graph;
  const entries = new Map(plan.nodes.map((entry) => [source.graph.nodes[entry.index]!, entry]));
  const owners = ownersOf(source, converted);
  const mirrored: { readonly entry: NodePlan; readonly of: NodePlan }[] = [];
  for (const [index, node] of nodes.entries()) {
    const of = entries.get(owners.get(node)!);
    if (of === undefined) continue;
    const slot = weightSlot(node, converted, of);
    if (slot < 0 && of.form !== "integer") continue;
    const place = { scope: "", index, node: nodeLabel(node), op: node.op, form: "qdq" } as const;
    const tensor = node.inputs[slot] ?? "";
    const site = { tensor, input: slot, shape: tensors.get(tensor)?.shape ?? [] };
    const origin = converted.origins.get(tensor);
    const weight = origin && (await mirroredWeight(source, of.weight!, origin, site));
    mirrored.push({ entry: { ...place, ...(weight && { weight }) }, of });
  }
  return mirrored;
}

/** Values by their names in the converted model; constants stay what they are. */
function mirroredValues(plan: Plan, { values }: Converted): ReadonlyMap<string, ValuePlan> {
  const byName = new Map(plan.values.map((value) => [value.value, value]));
  const found = new Map<string, ValuePlan>();
  for (const own of plan.values) {
    const name = values.get(own.value);
    const owner = scaleOwner(byName, own.value);
    const shared = values.get(owner.value);
    if (name === undefined || shared === undefined || found.has(name) || owner.constant) continue;
    const { sameAs: _, ...rest } = own;
    found.set(name, { ...rest, value: name, ...(shared !== name && { sameAs: shared }) });
  }
  return found;
}

/** Values that only hand codes on: a Transpose that conversion put in front of a product, so that its bias has its steps. */
function withMoved(values: ReadonlyMap<string, ValuePlan>, nodes: readonly Node[]): ReadonlyMap<string, ValuePlan> {
  const all = new Map(values);
  for (const node of nodes) {
    const from = all.get(node.inputs[0] ?? "");
    const name = node.outputs[0] ?? "";
    if (from !== undefined && movesCodes(node) && !all.has(name))
      all.set(name, { scope: "", value: name, scheme: from.scheme, observer: from.observer, sameAs: from.value });
  }
  return all;
}

/** The mirror of a plan that was made for `source`. */
export async function mirrored(source: Model, plan: Plan, converted: Converted): Promise<Mirror> {
  const nodes = await mirroredNodes(source, plan, converted);
  const known = mirroredValues(plan, converted);
  const { graph } = converted.model;
  const integers = plan.values.length === 0 ? [] : nodes.map(({ entry }) => graph.nodes[entry.index]!);
  const values = [...withMoved(known, integers).values()];
  const given = values.filter(({ qparams }) => qparams !== undefined).map(({ value }) => value);
  return {
    plan: { ...plan, nodes: nodes.map(({ entry }) => entry), values },
    fixed: new Set(given),
    grids: (learned) => ({ values: valueGrids(plan, converted, learned), weights: weightGrids(plan, nodes, learned) }),
  };
}

const valueGrids = ({ values }: Plan, converted: Converted, learned: QatStart): QatStart["values"] =>
  new Map(
    values.flatMap(({ value }) => {
      const grid = learned.values.get(converted.values.get(value) ?? "");
      return grid === undefined ? [] : [[value, grid] as const];
    }),
  );

/** Nodes that share a weight share its grid; only one of them may be in the converted model. */
function weightGrids(
  plan: Plan,
  mirrored: readonly { readonly entry: NodePlan; readonly of: NodePlan }[],
  learned: QatStart,
): QatStart["weights"] {
  const keyOf = ({ weight }: NodePlan): string => JSON.stringify(weight && [weight.tensor, weight.axis, weight.scheme]);
  const found = new Map<string, QParams>();
  for (const { entry, of } of mirrored) {
    const grid = learned.weights.get(entry);
    if (grid !== undefined) found.set(keyOf(of), grid);
  }
  return new Map(
    plan.nodes.flatMap((entry) => {
      const grid = entry.weight && found.get(keyOf(entry));
      return grid === undefined ? [] : [[entry, grid] as const];
    }),
  );
}

/** How many elements of a plan's weights are not trained for their grids. */
export const untrained = (plan: Plan, { weights }: QatStart): number =>
  plan.nodes.reduce((sum, entry) => {
    const { weight } = entry;
    return weight === undefined || weights.has(entry) ? sum : sum + elementCount(weight.shape);
  }, 0);
