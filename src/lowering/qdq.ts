/**
 * The static form: QuantizeLinear / DequantizeLinear around every planned value, int8 weights, int32 biases
 * (ONNX operators QuantizeLinear-13, DequantizeLinear-13; int32 bias scale = input scale * weight scale).
 *
 * A value keeps its name where it is dequantized, so nodes left in float read what they always read.
 */
import { node as makeNode, tensor as makeTensor } from "../ir/build.ts";
import { weightAt } from "../ir/dialect.ts";
import { freshNames, nodeLabel, withGraph, withTensors } from "../ir/edit.ts";
import type { Graph, Model, Node, Tensor } from "../ir/model.ts";
import { ONNX } from "../ir/onnx-ops.ts";
import type { NodePlan, Plan, ValuePlan } from "../ir/plan.ts";
import { isRemoved, unclampedIn } from "../ir/removed-clamps.ts";
import { scaleOwner } from "../ir/scale-owner.ts";
import { gridRow, type Scheme } from "../ir/scheme.ts";
import type { Stats } from "../ir/stats.ts";
import { DTYPES } from "../numeric/dtypes.ts";
import { fail } from "../numeric/errors.ts";
import { type Affine, affine } from "../numeric/qparams.ts";
import { observerNamed } from "../observers/index.ts";
import { givenAffine, weightKey } from "./given.ts";
import { biasFits, type StaticWeight, staticBias, staticWeight } from "./qdq-weights.ts";

/** A value with its grid: names of the tensors that hold scale and zero point. */
interface QuantizedValue {
  readonly plan: ValuePlan;
  readonly scale: number;
  readonly scaleName: string;
  readonly zeroName: string;
}

interface State {
  readonly graph: Graph;
  readonly fresh: (wish: string) => string;
  readonly values: ReadonlyMap<string, QuantizedValue>;
  /** Output of a removed clamp by the value that takes its place. */
  readonly unclamped: ReadonlyMap<string, string>;
  readonly dequantized: Map<string, string>;
  /** By tensor: on one grid for each axis of channels, and for biases that need a wider one. */
  readonly weights: Map<string, readonly StaticWeight[]>;
  readonly tensors: Map<string, Tensor>;
  /** Bounds of codes by type and number. */
  readonly limits: Map<string, string>;
  /** Codes of less than a byte by name: where they are int8. */
  readonly unpacked: Map<string, string>;
}

/**
 * Rewrites the main graph. `plans` holds the nodes of form "qdq"; statistics must hold every planned value that has no
 * range of its own.
 */
export async function lowerStatic(
  model: Model,
  plan: Plan,
  plans: ReadonlyMap<Node, NodePlan>,
  stats: Stats | undefined,
): Promise<Model> {
  if (plans.size === 0) return model;
  const state = initialState(model, plan, plans, stats);
  const nodes: Node[] = [];
  const constants = plan.values.filter(({ constant }) => constant).map(({ value }) => value);
  for (const name of [...model.graph.inputs.map((input) => input.name), ...constants])
    nodes.push(...quantizeSource(state, name));
  for (const node of model.graph.nodes) {
    const entry = plans.get(node);
    if (entry === undefined) nodes.push(...floatNode(state, node));
    else if (!isRemoved(entry)) nodes.push(...(await lowerNode(state, node, entry)));
  }
  return withGraph(model, withTensors({ ...model.graph, nodes }, [...state.tensors.values()]));
}

function initialState(model: Model, plan: Plan, plans: ReadonlyMap<Node, NodePlan>, stats: Stats | undefined): State {
  const { graph } = model;
  const tensors = new Map<string, Tensor>();
  const fresh = freshNames(graph);
  const values = quantizedValues(plan, stats, tensors, fresh);
  if ((model.opsets[""] ?? 0) >= TYPED_PAIRS) addMoved(values, graph, plans);
  return {
    graph,
    fresh,
    values,
    unclamped: unclampedIn(plans),
    dequantized: new Map(),
    weights: new Map(),
    tensors,
    limits: new Map(),
    unpacked: new Map(),
  };
}

function quantizedValues(
  plan: Plan,
  stats: Stats | undefined,
  tensors: Map<string, Tensor>,
  fresh: (wish: string) => string,
): Map<string, QuantizedValue> {
  const byName = new Map(plan.values.map((value) => [value.value, value]));
  const grids = new Map<ValuePlan, Omit<QuantizedValue, "plan">>();
  const gridFor = (owner: ValuePlan) => {
    const grid = grids.get(owner) ?? addGrid(owner, stats, tensors, fresh);
    grids.set(owner, grid);
    return grid;
  };
  return new Map(
    plan.values.map((value) => [value.value, { plan: value, ...gridFor(scaleOwner(byName, value.value)) }]),
  );
}

/** Operator set in which QuantizeLinear says what type it makes. */
const TYPED_PAIRS = 21;
/** Float ops that ONNX Runtime moves pairs behind. */
const MOVED_BEHIND: ReadonlySet<string> = new Set(["MaxPool", "Reshape", "Transpose"]);

/**
 * Grids of int8 values behind float ops that only move elements: pairs that stand there already are not moved there by ONNX
 * Runtime, which makes uint8 of int8 at the same time and then refuses its own graph (seen in 1.30, "output_dtype INT8 does not
 * match y_zero_point type UINT8").
 */
function addMoved(values: Map<string, QuantizedValue>, graph: Graph, plans: ReadonlyMap<Node, NodePlan>): void {
  const made = new Set([...plans.keys()].flatMap(({ outputs }) => outputs));
  for (const node of graph.nodes) {
    if (plans.has(node) || !MOVED_BEHIND.has(node.op) || node.domain !== "") continue;
    const [source, moved] = [values.get(node.inputs[0]!), node.outputs[0]!];
    if (source?.plan.scheme.dtype !== "int8" || values.has(moved)) continue;
    const { value, everywhere } = source.plan;
    if (!made.has(value) && !everywhere) continue;
    values.set(moved, { ...source, plan: { ...source.plan, value: moved, sameAs: value, everywhere: true } });
  }
}

/** Adds the tensors that hold scale and zero point of a value. */
function addGrid(
  owner: ValuePlan,
  stats: Stats | undefined,
  tensors: Map<string, Tensor>,
  fresh: (wish: string) => string,
): Omit<QuantizedValue, "plan"> {
  const { scale, zeroPoint } = gridOf(owner, stats);
  const { dtype } = owner.scheme;
  const [scaleName, zeroName] = [fresh(`${owner.value}/s`), fresh(`${owner.value}/z`)];
  const zero = dtype === "int8" ? Int8Array.of(zeroPoint) : Uint8Array.of(zeroPoint);
  tensors.set(scaleName, makeTensor(scaleName, "float32", [], Float32Array.of(scale)));
  tensors.set(zeroName, makeTensor(zeroName, dtype, [], zero));
  return { scale, scaleName, zeroName };
}

/** Scale and zero point of a value: given, from the op's fixed range, or from what calibration saw. */
export function gridOf(value: ValuePlan, stats: Stats | undefined): Affine {
  if (value.qparams !== undefined) return givenAffine(value.qparams, value.scheme, `value "${value.value}"`);
  const row = gridRow(value.scheme);
  const seen = stats?.values[value.value];
  if (value.range === undefined && seen === undefined)
    return fail("data", `no statistics for value "${value.value}"; calibrate again with the same model and passes`);
  const [min, max] = value.range ?? observerNamed(value.observer).range(seen!, row, value.scheme.symmetric);
  return affine(min, max, row, value.scheme.symmetric);
}

/** A node left in float; it reads rounded values where every reader does, and makes them. */
function floatNode(state: State, node: Node): readonly Node[] {
  const behind: Node[] = [];
  const isRounded = (name: string): boolean => state.values.get(name)?.plan.everywhere === true;
  const outputs = node.outputs.map((name) => {
    if (isRounded(name)) return roundedOutput(state, name, behind);
    behind.push(...quantizeSource(state, name));
    return name;
  });
  const inputs = node.inputs.map((name) => (isRounded(name) ? (state.dequantized.get(name) ?? name) : name));
  const same = [...inputs, ...outputs].every((name, i) => name === [...node.inputs, ...node.outputs][i]);
  return [same ? node : { ...node, inputs, outputs }, ...behind];
}

/** Q and DQ behind an output, which keeps its name where it is dequantized; answers the name of what the node makes. */
function roundedOutput(state: State, name: string, behind: Node[]): string {
  const shown = state.unclamped.get(name) ?? name;
  const value = state.values.get(shown);
  if (value === undefined) return name;
  const raw = shown === name ? state.fresh(`${name}/f`) : name;
  behind.push(...quantizePair(state, value, raw, shown));
  return raw;
}

/** Q and DQ behind a value that float nodes or callers make: integer nodes read the DQ, everybody else the value itself. */
function quantizeSource(state: State, name: string): readonly Node[] {
  const value = state.values.get(name);
  if (value === undefined) return [];
  const out = state.fresh(`${name}/dq`);
  state.dequantized.set(name, out);
  return quantizePair(state, value, name, out);
}

function quantizePair(
  state: State,
  { plan, scaleName, zeroName }: QuantizedValue,
  from: string,
  to: string,
): readonly Node[] {
  const codes = state.fresh(`${to}/q`);
  const limits = plan.sameAs === undefined ? limitsOf(state, plan.scheme) : [];
  const limited = limits.length === 0 ? codes : state.fresh(`${to}/c`);
  return [
    makeNode("QuantizeLinear", [from, scaleName, zeroName], [codes], { name: state.fresh(`${to}/Q`) }),
    ...(limits.length === 0 ? [] : [makeNode("Clip", [codes, ...limits], [limited], { name: state.fresh(`${to}/C`) })]),
    makeNode("DequantizeLinear", [limited, scaleName, zeroName], [to], { name: state.fresh(`${to}/DQ`) }),
  ];
}

/**
 * Bounds of a Clip for codes that are fewer than their type has; a bound that is the type's own needs none. Behind the
 * QuantizeLinear it leaves the integer kernels as they are, which a Clip of the values in front of it would not.
 */
function limitsOf(state: State, scheme: Scheme): readonly string[] {
  const row = DTYPES[scheme.dtype];
  const [low, high] = scheme.codes ?? [row.min, row.max];
  const [first, last] = [
    low > row.min ? limit(state, scheme, low) : "",
    high < row.max ? limit(state, scheme, high) : "",
  ];
  return last !== "" ? [first, last] : first !== "" ? [first] : [];
}

function limit({ limits, fresh, tensors }: State, { dtype }: Scheme, code: number): string {
  const key = `${dtype}:${code}`;
  const name = limits.get(key) ?? fresh(`codes/${code}`);
  limits.set(key, name);
  if (!tensors.has(name))
    tensors.set(name, makeTensor(name, dtype, [], dtype === "int8" ? Int8Array.of(code) : Uint8Array.of(code)));
  return name;
}

async function lowerNode(state: State, node: Node, entry: NodePlan): Promise<readonly Node[]> {
  const front: Node[] = [];
  const inputs = node.inputs.map((name) => state.dequantized.get(name) ?? name);
  if (entry.weight !== undefined) await lowerWeight(state, node, entry.weight, inputs, front);
  const behind: Node[] = [];
  const outputs = node.outputs.map((name) => roundedOutput(state, name, behind));
  return [...front, { ...node, inputs, outputs }, ...behind];
}

/** Replaces weight and bias inputs by dequantized codes. */
async function lowerWeight(
  state: State,
  node: Node,
  weight: NonNullable<NodePlan["weight"]>,
  inputs: string[],
  front: Node[],
): Promise<void> {
  const row =
    weightAt(ONNX, node, weight.input) ??
    fail("graph", `node "${nodeLabel(node)}": ${node.op} has no weight at input ${weight.input} in the op table`);
  const data = state.values.get(node.inputs[0]!);
  const bias = row.bias === undefined ? undefined : state.graph.tensors.get(node.inputs[row.bias] ?? "");
  const codes = await sharedWeight(state, weight, bias, data?.scale);
  const names = codes.packed ? unpackedNames(state, front, codes) : codes.names;
  inputs[weight.input] = dequantize(state, front, names, weight.tensor, weight.axis);
  if (bias === undefined || data === undefined || !(await biasFits(bias, data.scale, codes.scales))) return;
  const quantized = await staticBias(bias, data.scale, codes.scales, state.fresh);
  for (const tensor of quantized) state.tensors.set(tensor.name, tensor);
  inputs[row.bias!] = dequantize(
    state,
    front,
    quantized.map((tensor) => tensor.name),
    bias.name,
    0,
  );
}

/** Such scales are never widened for a bias, which then stays in float. */
const isGiven = (plan: NonNullable<NodePlan["weight"]>): boolean => plan.qparams !== undefined;

/** Codes of a weight; nodes that share it share them where channels and biases allow it. */
async function sharedWeight(
  state: State,
  plan: NonNullable<NodePlan["weight"]>,
  bias: Tensor | undefined,
  dataScale: number | undefined,
): Promise<StaticWeight> {
  const known = state.weights.get(plan.tensor) ?? [];
  const key = weightKey(plan);
  for (const found of known.filter((other) => other.key === key))
    if (
      isGiven(plan) ||
      bias === undefined ||
      dataScale === undefined ||
      (await biasFits(bias, dataScale, found.scales))
    )
      return found;
  const made = await staticWeight(state.graph.tensors.get(plan.tensor)!, plan, bias, dataScale, state.fresh);
  for (const tensor of made.tensors) state.tensors.set(tensor.name, tensor);
  state.weights.set(plan.tensor, [...known, made]);
  return made;
}

/** ONNX TensorProto.DataType. */
const [INT8, INT32] = [3, 6];
/** The odd codes in the order of an index of two bits with a sign: 0, 1, -2, -1. */
const ODD_CODES = Int8Array.of(1, 3, -3, -1);

/** The codes as int8: integer kernels read no smaller types, and constants are computed when the model is loaded. */
function unpackedNames(state: State, front: Node[], { names, odd }: StaticWeight): readonly string[] {
  const [codes, ...rest] = names as readonly [string, ...string[]];
  const known = state.unpacked.get(codes);
  if (known !== undefined) return [known, ...rest];
  const name = state.fresh(`${codes}8`);
  const cast = odd ? state.fresh(`${codes}32`) : name;
  const attributes = { to: odd ? INT32 : INT8 };
  front.push(makeNode("Cast", [codes], [cast], { name: state.fresh(`${codes}/Cast`), attributes }));
  if (odd) {
    const table = makeTensor("fewbit/odd-codes", "int8", [ODD_CODES.length], ODD_CODES);
    state.tensors.set(table.name, table);
    front.push(makeNode("Gather", [table.name, cast], [name], { name: state.fresh(`${codes}/Gather`) }));
  }
  state.unpacked.set(codes, name);
  return [name, ...rest];
}

function dequantize(state: State, front: Node[], names: readonly string[], base: string, axis: number): string {
  const out = state.fresh(`${base}/dq`);
  front.push(makeNode("DequantizeLinear", names, [out], { name: state.fresh(`${base}/DQ`), attributes: { axis } }));
  return out;
}
