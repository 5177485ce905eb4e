/**
 * A planned model as it will be deployed, in floats: a FakeQuantize wherever the plan puts codes, with trained scales.
 * Follows the lowerings node by node: clamps that a grid does by itself are gone, biases lie on the scale of their products,
 * and nodes that stay in float read what they always read.
 */
import { node as makeNode, valueInfo } from "../../ir/build.ts";
import { weightAt } from "../../ir/dialect.ts";
import { freshNames, withGraph, withTensors } from "../../ir/edit.ts";
import type { Graph, Model, Node, Tensor } from "../../ir/model.ts";
import { ONNX } from "../../ir/onnx-ops.ts";
import type { NodePlan, Plan, ValuePlan } from "../../ir/plan.ts";
import { isRemoved, unclampedIn } from "../../ir/removed-clamps.ts";
import { scaleOwner } from "../../ir/scale-owner.ts";
import type { QParams } from "../../ir/scheme.ts";
import { elementCount } from "../../numeric/dtypes.ts";
import { fail } from "../../numeric/errors.ts";
import type { Affine } from "../../numeric/qparams.ts";
import { fakeQuantizeNode, isFakeQuantize } from "../ops/fake-quantize.ts";
import { FALLEN } from "../step.ts";
import { knownTypes } from "../types.ts";
import { type GridNodes, gridNodes, type LearnedGrid, transposed, weightLayout } from "./grids.ts";

/** Grids that training starts from. */
export interface QatStart {
  /** By value; those that share another value's scale are left out. */
  readonly values: ReadonlyMap<string, Affine>;
  /** By node of the plan, in the order its form stores them. */
  readonly weights: ReadonlyMap<NodePlan, QParams>;
  /** Values whose grids stay as they are: kernels want just these. */
  readonly fixed?: ReadonlySet<string>;
}

/** What is quantized, and whether its grids are trained. */
export interface InsertOptions {
  /** False: weights only, for the first part of a training. */
  readonly activations?: boolean;
  /** False: scales are constants, exactly those given. */
  readonly learn?: boolean;
  /** Weights begin as floats and become what their codes stand for as the rate falls. False by default. */
  readonly gradual?: boolean;
}

/** A model with fake quantization, and where its grids are. */
export interface FakeQuantized {
  readonly model: Model;
  readonly values: ReadonlyMap<string, LearnedGrid>;
  readonly weights: ReadonlyMap<NodePlan, LearnedGrid>;
  /** A FakeQuantize of each weight on a grid, by the weight's name. */
  readonly rounded: ReadonlyMap<string, Node>;
  /** What a planned node computes, before its output is put on a grid. */
  readonly products: ReadonlyMap<NodePlan, string>;
}

interface State {
  readonly graph: Graph;
  readonly fresh: (wish: string) => string;
  readonly start: QatStart;
  readonly learn: boolean;
  readonly activations: boolean;
  /** How much of a weight's rounding is in effect, a scalar from 0 to 1; undefined where all of it is from the start. */
  readonly share: string | undefined;
  readonly plans: ReadonlyMap<Node, NodePlan>;
  readonly values: ReadonlyMap<string, ValuePlan>;
  /** Output of a removed clamp by the value that takes its place. */
  readonly unclamped: ReadonlyMap<string, string>;
  /** What integer nodes read instead of a value that others make. */
  readonly quantized: Map<string, string>;
  readonly valueGrids: Map<string, GridNodes>;
  readonly weightGrids: Map<NodePlan, GridNodes>;
  /** Outputs of weights' FakeQuantize nodes by all that decides over them. */
  readonly weightOutputs: Map<string, { readonly output: string; readonly grid: GridNodes }>;
  readonly products: Map<NodePlan, string>;
  readonly nodes: Node[];
  readonly tensors: Map<string, Tensor>;
}

function initialState(model: Model, plan: Plan, start: QatStart, options: InsertOptions): State {
  const { graph } = model;
  const entries = plan.nodes
    .filter(({ scope }) => scope === "")
    .map((entry) => [graph.nodes[entry.index]!, entry] as const);
  const activations = options.activations ?? true;
  const fresh = freshNames(graph);
  const share = options.gradual ? fresh("rounded-share") : undefined;
  return {
    ...{ graph, start, activations, fresh, learn: options.learn ?? true, share },
    plans: new Map(entries),
    values: new Map(activations ? plan.values.map((value) => [value.value, value]) : []),
    unclamped: unclampedIn(activations ? entries : []),
    ...{ quantized: new Map(), valueGrids: new Map(), weightGrids: new Map(), weightOutputs: new Map() },
    ...{ products: new Map(), tensors: new Map() },
    nodes: share === undefined ? [] : [makeNode("Sqrt", [FALLEN], [share], { name: `${share}/Sqrt` })],
  };
}

const isFixed = ({ fixed }: QatStart, value: string): boolean => fixed?.has(value) ?? false;

/** Adds a grid's own nodes and tensors. */
function place(state: State, grid: GridNodes): GridNodes {
  state.nodes.push(...grid.nodes);
  for (const tensor of grid.tensors) state.tensors.set(tensor.name, tensor);
  return grid;
}

function valueGrid(state: State, name: string): GridNodes {
  const root = scaleOwner(state.values, name);
  const known = state.valueGrids.get(root.value);
  if (known !== undefined) return known;
  const { scale, zeroPoint } =
    state.start.values.get(root.value) ??
    fail("data", `no grid to start from for value "${root.value}"; calibrate first`);
  const learn = state.learn && !isFixed(state.start, root.value);
  const made = gridNodes({
    ...{ base: root.value, scheme: root.scheme, shape: [], fresh: state.fresh, learn, offsets: true },
    start: { scale: Float32Array.of(scale), zeroPoint: Int32Array.of(zeroPoint) },
  });
  state.valueGrids.set(root.value, made);
  return place(state, made);
}

function fakeQuantized(state: State, from: string, to: string, { inputs, fake }: GridNodes, share?: string): void {
  const [scale, zero = ""] = inputs as readonly [string, string?];
  const optional = share !== undefined ? [zero, share] : zero !== "" ? [zero] : [];
  state.nodes.push(fakeQuantizeNode([from, scale, ...optional], to, fake));
}

/** Behind a value that float nodes or callers make: integer nodes read its codes, everybody else the value itself. */
function quantizeSource(state: State, name: string): void {
  if (!state.values.has(name)) return;
  const grid = valueGrid(state, name);
  const out = state.fresh(`${name}/fake`);
  fakeQuantized(state, name, out, grid);
  state.quantized.set(name, out);
}

function weightStart(state: State, entry: NodePlan): QParams {
  const { tensor, shape, axis, scheme } = entry.weight!;
  const given = state.start.weights.get(entry) ?? fail("data", `no scales to start from for weight "${tensor}"`);
  if (scheme.granularity.per !== "group" || axis === 0) return given;
  const rows = shape[axis]!;
  return { scale: transposed(given.scale, rows), zeroPoint: transposed(given.zeroPoint, rows) };
}

/** A weight on its grid; nodes that agree on all of it share one. Undefined where it stays as it is. */
function quantizeWeight(state: State, entry: NodePlan) {
  const weight = entry.weight!;
  const layout = weightLayout(weight);
  if (layout === undefined || !state.graph.tensors.has(weight.tensor)) return undefined;
  const key = JSON.stringify([weight.tensor, weight.axis, weight.scheme]);
  const known = state.weightOutputs.get(key);
  if (known !== undefined) {
    state.weightGrids.set(entry, known.grid);
    return known;
  }
  const { tensor: base, scheme } = weight;
  const settings = { base, scheme, start: weightStart(state, entry), offsets: false };
  const grid = place(state, gridNodes({ ...settings, ...layout, learn: state.learn, fresh: state.fresh }));
  const output = state.fresh(`${base}/fake`);
  fakeQuantized(state, base, output, grid, state.share);
  const made = { output, grid };
  state.weightOutputs.set(key, made);
  state.weightGrids.set(entry, grid);
  return made;
}

/** Largest code of a bias; the products are added to it in int32. */
const BIAS_MAX = 2 ** 30;

/** A bias in steps of the products it is added to. */
function quantizeBias(state: State, bias: string, data: GridNodes, weight: GridNodes): string {
  const { shape } = state.graph.tensors.get(bias)!;
  const scale = state.fresh(`${bias}/scale`);
  state.nodes.push(makeNode("Mul", [data.inputs[0]!, weight.inputs[0]!], [scale], { name: `${scale}/Mul` }));
  const output = state.fresh(`${bias}/fake`);
  const axis = weight.fake.axis === undefined ? {} : { axis: shape.length - 1 };
  state.nodes.push(fakeQuantizeNode([bias, scale], output, { low: -BIAS_MAX, high: BIAS_MAX, learn: false, ...axis }));
  return output;
}

/** Constants of a planned node on their grids. */
function lowerConstants(state: State, node: Node, entry: NodePlan, inputs: string[]): void {
  const weight = entry.weight;
  const made = weight === undefined ? undefined : quantizeWeight(state, entry);
  if (weight === undefined || made === undefined) return;
  inputs[weight.input] = made.output;
  const slot = weightAt(ONNX, node, weight.input)?.bias;
  const bias = slot === undefined ? "" : (node.inputs[slot] ?? "");
  const tensor = state.graph.tensors.get(bias);
  if (entry.form !== "qdq" || tensor === undefined || !state.values.has(node.inputs[0]!)) return;
  if (elementCount(tensor.shape) !== tensor.shape.at(-1)) return;
  inputs[slot!] = quantizeBias(state, bias, valueGrid(state, node.inputs[0]!), made.grid);
}

/** Its output has codes of its input; what averages, or is brought to the grid of another value, makes new ones. */
export const movesCodes = (node: Node): boolean => ONNX.row(node)?.static(node).as === "same-scale";

/** A node that runs in integers: all it reads and makes lies on grids. */
function lowerNode(state: State, node: Node, entry: NodePlan): void {
  const inputs = node.inputs.map((name) => state.quantized.get(name) ?? name);
  lowerConstants(state, node, entry, inputs);
  const behind: (() => void)[] = [];
  const outputs = node.outputs.map((name) => {
    const shown = state.unclamped.get(name) ?? name;
    const value = state.values.get(shown);
    if (value === undefined || (value.sameAs !== undefined && movesCodes(node))) return name;
    const raw = shown === name ? state.fresh(`${name}/raw`) : name;
    behind.push(() => fakeQuantized(state, raw, shown, valueGrid(state, shown)));
    return raw;
  });
  state.products.set(entry, outputs[0]!);
  state.nodes.push({ ...node, inputs, outputs });
  for (const write of behind) write();
}

function lowerAny(state: State, node: Node): void {
  const entry = state.plans.get(node);
  if (entry === undefined || entry.form !== "qdq") {
    const inputs = [...node.inputs];
    if (entry !== undefined) lowerConstants(state, node, entry, inputs);
    if (entry !== undefined) state.products.set(entry, node.outputs[0]!);
    state.nodes.push(entry === undefined ? node : { ...node, inputs });
    for (const output of node.outputs) quantizeSource(state, output);
  } else if (!state.activations || !isRemoved(entry)) lowerNode(state, node, entry);
}

const gridsOf = <K>(made: ReadonlyMap<K, GridNodes>): ReadonlyMap<K, LearnedGrid> =>
  new Map([...made].map(([key, { grid }]) => [key, grid]));

/** By what they round: the FakeQuantize nodes of weights. */
function roundings(nodes: readonly Node[], entries: Iterable<NodePlan>): ReadonlyMap<string, Node> {
  const weights = new Set(Array.from(entries, ({ weight }) => weight?.tensor));
  const found = nodes.filter((node) => isFakeQuantize(node) && weights.has(node.inputs[0]));
  return new Map(found.map((node) => [node.inputs[0]!, node]));
}

/** Types of the values of the model, for the rules that need them behind renamed values. */
function declared(graph: Graph, nodes: readonly Node[]): Graph["values"] {
  const known = knownTypes(graph);
  const values = new Map(graph.values);
  for (const name of nodes.flatMap(({ outputs }) => outputs)) {
    const { dtype, dims } = known.get(name) ?? {};
    if (dtype !== undefined && dims !== undefined) values.set(name, valueInfo(name, dtype, dims));
  }
  return values;
}

/**
 * `model` with its planned values and weights on grids that start at `start`. It holds ops of fewbit's own: make a training
 * step of it, or expand them. Sub-graphs and weights on codebooks stay in float.
 */
export function insertFakeQuantize(
  model: Model,
  plan: Plan,
  start: QatStart,
  options: InsertOptions = {},
): FakeQuantized {
  const state = initialState(model, plan, start, options);
  for (const { name } of model.graph.inputs) quantizeSource(state, name);
  for (const node of model.graph.nodes) lowerAny(state, node);
  const { nodes, tensors, valueGrids, weightGrids, products } = state;
  const values = declared(model.graph, nodes);
  const inputs = [...model.graph.inputs, ...(state.share === undefined ? [] : [valueInfo(FALLEN, "float32", [])])];
  const graph = withTensors({ ...model.graph, inputs, nodes, values }, [...tensors.values()]);
  const learned = new Map([...valueGrids].filter(([name]) => !isFixed(start, name)));
  const rounded = roundings(nodes, weightGrids.keys());
  return { model: withGraph(model, graph), values: gridsOf(learned), weights: gridsOf(weightGrids), rounded, products };
}
