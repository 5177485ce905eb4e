/**
 * The static part of a plan: which nodes run in integers from end to end, and which values get a scale.
 *
 * Ops with weights are the seeds. Ops around them (additions, pools, reshapes) join when everything they read is in
 * integers already and, where each border costs a conversion, somebody behind them wants integers: the dialect knows.
 */
import { type Dialect, type OpRow, type Slots, type Static, slotNames, type WeightInput } from "../ir/dialect.ts";
import { dialectOf } from "../ir/dialects.ts";
import { consumers, producers } from "../ir/edit.ts";
import type { Graph, Model, Node } from "../ir/model.ts";
import type { Kept, NodePlan, Place, ValuePlan } from "../ir/plan.ts";
import type { GivenGrid, Scheme } from "../ir/scheme.ts";
import type { Site } from "../lowering/form.ts";
import { byteLength, elementCount } from "../numeric/dtypes.ts";
import { sameGrid, sameSteps } from "../passes/index.ts";
import type { NamedScheme, StaticGrids } from "../recipes/named-scheme.ts";
import { valueGrid, weightGrid } from "./given-grids.ts";

/** What one node was given: a scheme, or the reason why it is left alone. */
export interface Assigned {
  readonly site: Site;
  readonly place: Place;
  readonly scheme: NamedScheme | undefined;
  readonly kept?: string;
}

/** What of a plan runs in integers from end to end. */
export interface StaticPlan {
  readonly nodes: readonly NodePlan[];
  readonly values: readonly ValuePlan[];
  readonly kept: readonly Kept[];
  /** Nodes no other form may take. */
  readonly taken: ReadonlySet<Node>;
}

/** A node of the main graph that may run in integers. */
interface Candidate extends Assigned {
  readonly grids: StaticGrids;
  readonly weight?: WeightInput;
}

/** The main graph with the nodes that run in integers. */
interface View {
  readonly graph: Graph;
  readonly dialect: Dialect;
  /** Grids that values came with. */
  readonly grids: ReadonlyMap<string, GivenGrid>;
  /** Of the scheme, for values that only float nodes read. */
  readonly activations: Scheme;
  readonly integers: ReadonlyMap<Node, Candidate>;
  readonly producers: ReadonlyMap<string, Node>;
  readonly consumers: ReadonlyMap<string, readonly Node[]>;
}

const EMPTY: StaticPlan = { nodes: [], values: [], kept: [], taken: new Set() };

/**
 * Plans all nodes whose scheme is static; empty when none is. `onlyGiven`: nothing can be observed, so that nodes around
 * values without a grid of their own stay in float.
 */
export function planStatic(
  model: Model,
  assigned: readonly Assigned[],
  observer: string,
  onlyGiven = false,
): StaticPlan {
  const wanted = assigned.filter(({ scheme }) => scheme?.static !== undefined);
  if (wanted.length === 0) return EMPTY;
  const { graph } = model;
  const dialect = dialectOf(model);
  const known = effectiveGrids(graph, dialect);
  const outcomes = wanted.map((entry) => candidate(entry, dialect, known));
  const integers = new Map(
    outcomes.filter((entry): entry is Candidate => "grids" in entry).map((entry) => [entry.site.node, entry]),
  );
  const links = {
    graph,
    dialect,
    grids: known,
    activations: wanted[0]!.scheme!.static!.activations,
    producers: producers(graph),
    consumers: consumers(graph),
  };
  const view: View = { ...links, integers };
  dropLonelyBridges(view, integers);
  const unknown = onlyGiven ? dropUnknown(view, integers, observer) : [];
  return {
    nodes: [...integers.values()].map((entry) => nodePlan(view, entry)),
    values: valuePlans(view, observer),
    kept: [...outcomes.filter((entry): entry is Kept => "reason" in entry), ...unknown],
    taken: new Set(integers.keys()),
  };
}

/** A node that may run in integers, or why one with weights can't; `skip` for the many that have none and don't matter. */
function candidate(
  entry: Assigned,
  dialect: Dialect,
  known: View["grids"],
): Candidate | Kept | { readonly skip: true } {
  const { site, place, scheme } = entry;
  const grids = scheme!.static!;
  const row = dialect.row(site.node);
  const as = row?.static(site.node).as ?? "float";
  const weight = row?.weights.find(({ input }) => site.constant(site.node.inputs[input] ?? "") !== undefined);
  if (place.scope !== "") return weight && as === "compute" ? { ...place, reason: SUBGRAPH } : { skip: true };
  if (as !== "float" && !takes(row!, grids))
    return weight ? { ...place, reason: noKernel(site, grids) } : { skip: true };
  if (as === "compute") {
    if (weight === undefined && isOnGrids(site, row!.data, known)) return { ...entry, grids };
    const reason = weight === undefined ? noWeight(site) : whyNotCompute(site, weight);
    return reason === undefined ? { ...entry, grids, weight: weight! } : { ...place, reason };
  }
  if (as === "float") return { skip: true };
  const values = slotNames(row!.data, site.node.inputs);
  const fitting = dialect.integers === "whole" ? areFloats(site, values) : isComputed(site, values, row!.numbers);
  return row!.weights.length === 0 && fitting ? { ...entry, grids } : { skip: true };
}

/** The kernels of the op take codes of the scheme's type. */
const takes = ({ codes }: OpRow, { activations }: StaticGrids): boolean =>
  codes === undefined || codes.includes(activations.dtype);

const noKernel = ({ node }: Site, { activations }: StaticGrids): string =>
  `${node.op} has no kernel for ${activations.dtype} activations`;

/** A product of two computed values, where the model came with a grid for each. */
const isOnGrids = ({ node }: Site, data: Slots, known: View["grids"]): boolean => {
  const factors = slotNames(data, node.inputs);
  return factors.length === 2 && factors.every((name) => known.has(name));
};

/** A constant in another place than the op table names has no integer kernel. */
const noWeight = ({ node, constant }: Site): string =>
  node.inputs.some((name) => constant(name) !== undefined)
    ? "its constant is the first factor; integer kernels take it as the second"
    : "both inputs are computed at run time";

const SUBGRAPH =
  "inside a sub-graph, where values can't be observed for calibration; a dynamic or weight-only scheme fits";

/** Reasons why products with this weight can't run on integers. */
function whyNotCompute({ node, constant }: Site, { input, bias, axis, stacked }: WeightInput): string | undefined {
  const weight = constant(node.inputs[input]!)!;
  const rank = weight.shape.length;
  if (weight.dtype !== "float32") return `weight "${weight.name}" is ${weight.dtype}, expected float32`;
  if (rank < 2 || elementCount(weight.shape) === 0) return `weight "${weight.name}" has shape [${weight.shape}]`;
  const channels = axis(node, rank);
  if (stacked && rank > 2) return `weight "${weight.name}" is a stack of matrices`;
  const biasName = bias === undefined ? "" : (node.inputs[bias] ?? "");
  if (biasName === "") return undefined;
  const added = constant(biasName);
  if (added === undefined) return `bias "${biasName}" is computed at run time`;
  return elementCount(added.shape) === weight.shape[channels]
    ? undefined
    : `bias "${biasName}" is not one number a channel`;
}

/** Float32 values, those of constants too. */
const areFloats = ({ constant, graph }: Site, names: readonly string[]): boolean =>
  names.every((name) => ((constant(name) ?? typeIn(graph, name))?.dtype ?? "float32") === "float32");

const typeIn = ({ values, inputs }: Graph, name: string) =>
  values.get(name) ?? inputs.find((input) => input.name === name);

/** Computed float32 values only, and single numbers where the op takes them; other constants would lose on one grid for all. */
function isComputed(site: Site, names: readonly string[], numbers = false): boolean {
  const constants = names.flatMap((name) => site.constant(name) ?? []);
  const single =
    numbers && constants.length < names.length && constants.every(({ shape }) => elementCount(shape) === 1);
  return areFloats(site, names) && (constants.length === 0 || single);
}

const asOf = ({ dialect }: View, node: Node): Static["as"] | undefined => dialect.row(node)?.static(node).as;

/** It is in integers for the sake of the products around it. */
const isBridge = (view: View, entry: Candidate): boolean =>
  asOf(view, entry.site.node) !== "compute" || isScaling(view.graph, entry);

/** One factor for each channel of an image: nothing is summed. */
function isScaling({ tensors }: Graph, { site: { node }, weight }: Candidate): boolean {
  const shape = weight && tensors.get(node.inputs[weight.input]!)?.shape;
  return shape !== undefined && shape.length > 2 && elementCount(shape) === shape[weight!.axis(node, shape.length)];
}

/** Removes bridges that don't stand between integers, until nothing changes. */
function dropLonelyBridges(view: View, integers: Map<Node, Candidate>): void {
  for (let before = -1; before !== integers.size; ) {
    before = integers.size;
    for (const [node, entry] of integers)
      if (isBridge(view, entry) && !isJoined(view, node, entry)) integers.delete(node);
  }
}

/**
 * Grids by value. What only moves elements hands its input's grid on, or has its output's, where the other has none; its
 * output has no more codes than its input.
 */
function effectiveGrids(graph: Graph, dialect: Dialect): ReadonlyMap<string, GivenGrid> {
  const grids = new Map(graph.grids);
  if (grids.size === 0) return grids;
  const give = (from: string, to: string): void => {
    const grid = grids.get(from);
    const known = grids.get(to);
    if (grid !== undefined && (known === undefined || (sameSteps(grid, known) && holds(known, grid))))
      grids.set(to, grid);
  };
  const moving = graph.nodes.filter((node) => dialect.row(node)?.static(node).as === "same-scale");
  for (const { inputs, outputs } of moving) for (const output of outputs) give(inputs[0] ?? "", output);
  for (const { inputs, outputs } of [...moving].reverse())
    if (!grids.has(inputs[0] ?? "")) give(outputs[0] ?? "", inputs[0] ?? "");
  return grids;
}

/** Whether all codes of the second grid are codes of the first. */
const holds = ({ codes: [low, high] }: GivenGrid, { codes }: GivenGrid): boolean => codes[0] >= low && codes[1] <= high;

/** Elements can move as codes where input and outputs have the same grid. */
function sharesGrid({ grids }: View, node: Node): boolean {
  const source = grids.get(node.inputs[0] ?? "");
  return node.outputs.every((name) => {
    const grid = grids.get(name);
    return grid === undefined || (source !== undefined && sameGrid(source, grid));
  });
}

/** Takes nodes back to float that read or make values with unknown ranges; those with weights are kept, with the reason. */
function dropUnknown(view: View, integers: Map<Node, Candidate>, observer: string): readonly Kept[] {
  const kept: Kept[] = [];
  for (;;) {
    const unknown = new Set(observedIn(valuePlans(view, observer)));
    if (unknown.size === 0) return kept;
    for (const [node, { place, weight }] of integers) {
      const value = [...node.inputs, ...node.outputs].find((name) => unknown.has(name));
      if (value === undefined) continue;
      integers.delete(node);
      if (weight)
        kept.push({ ...place, reason: `the model holds no grid for "${value}" that fits, and there are no samples` });
    }
    dropLonelyBridges(view, integers);
  }
}

function isJoined(view: View, node: Node, entry: Candidate): boolean {
  const row = view.dialect.row(node)!;
  const sources = slotNames(row.data, node.inputs);
  const { as } = row.static(node);
  if (as === "clamp") return clampSource(view, node, entry) !== undefined;
  if (as === "same-scale" && !sharesGrid(view, node)) return false;
  if (!sources.every((name) => isInteger(view, name))) return false;
  if (view.dialect.integers === "whole") return sources.some((name) => !view.graph.tensors.has(name));
  return slotNames(row.outputs, node.outputs).some((name) => wantsIntegers(view, name));
}

/** Made by an integer node, a constant operand, or fed as a float input, which is quantized once. */
function isInteger({ producers, integers, graph }: View, name: string): boolean {
  const producer = producers.get(name);
  if (producer !== undefined) return integers.has(producer);
  if (graph.tensors.has(name)) return true;
  return graph.inputs.some((input) => input.name === name && input.dtype === "float32");
}

const wantsIntegers = ({ consumers, integers, dialect }: View, name: string): boolean =>
  (consumers.get(name) ?? []).some(
    (node) => integers.has(node) && slotNames(dialect.row(node)!.data, node.inputs).includes(name),
  );

/**
 * The integer node whose output only this clamp reads: its QuantizeLinear can do the clamping, when the lowest code is
 * the lower bound (an unsigned or asymmetric grid).
 */
function clampSource(view: View, node: Node, entry: Candidate): Node | undefined {
  const { producers, consumers, graph, integers } = view;
  const source = node.inputs[0]!;
  const producer = producers.get(source);
  const alone = consumers.get(source)?.length === 1 && !graph.outputs.some((output) => output.name === source);
  const makesOwnGrid = producer !== undefined && ["compute", "elementwise"].includes(asOf(view, producer) ?? "");
  const limits = !entry.grids.activations.symmetric || view.grids.has(node.outputs[0]!);
  return alone && makesOwnGrid && integers.has(producer) && limits && isWithin(view, node) ? producer : undefined;
}

/** The grid behind a clamp does the work of the one in front of it: fewer of the same codes. */
function isWithin({ grids }: View, { inputs, outputs }: Node): boolean {
  const [before, behind] = [grids.get(inputs[0]!), grids.get(outputs[0]!)];
  if (before === undefined) return true;
  return behind !== undefined && sameSteps(before, behind) && holds(before, behind);
}

function nodePlan(view: View, { site, place, grids, weight }: Candidate): NodePlan {
  const { node } = site;
  const form = view.dialect.staticForm;
  const removed = asOf(view, node) === "clamp" ? { options: { removed: 1 } } : {};
  if (weight === undefined) return { ...place, form, ...removed };
  const tensor = view.graph.tensors.get(node.inputs[weight.input]!)!;
  const axis = weight.axis(node, tensor.shape.length);
  const { shape } = tensor;
  const bytes = { before: tensor.data.size, after: storedBytes(shape, axis, grids.weights) };
  const { weights: scheme, algorithm } = grids;
  const searched = { tensor: tensor.name, input: weight.input, shape, axis, scheme, algorithm, bytes };
  return { ...place, form, weight: weightGrid(tensor, searched) ?? searched };
}

/** Codes, and per channel a float32 scale and a zero point. */
const storedBytes = (shape: readonly number[], axis: number, { dtype, granularity }: Scheme): number =>
  byteLength(dtype, elementCount(shape)) + 5 * (granularity.per === "tensor" ? 1 : shape[axis]!);

/**
 * What products read, at once or behind ops that hand codes on: the values the bits of a narrow scheme's activations are
 * about. What comes from outside keeps 8 bits, as images have them, and so does what only sums, pools, scalings of channels
 * and float nodes read.
 */
function productInputs({ graph, integers, producers, dialect }: View): ReadonlySet<string> {
  const found = new Set<string>();
  for (const node of graph.nodes.toReversed()) {
    if (!integers.has(node)) continue;
    const row = dialect.row(node)!;
    const { as } = row.static(node);
    if (isScaling(graph, integers.get(node)!)) continue;
    if (as !== "compute" && !(as === "same-scale" && node.outputs.some((name) => found.has(name)))) continue;
    for (const name of slotNames(row.data, node.inputs)) if (producers.has(name)) found.add(name);
  }
  return found;
}

/** All codes of the type instead of the few of a narrow scheme; kernels of 8 bits take them as well. */
function wide({ codes: _, ...scheme }: Scheme): Scheme {
  return scheme;
}

/** Every value an integer node reads or makes, but for float outputs and what a removed clamp reads; then what came with a grid. */
function valuePlans(view: View, observer: string): readonly ValuePlan[] {
  const found = new Map<string, ValuePlan>();
  const narrow = productInputs(view);
  const given = (value: string, { activations }: StaticGrids) =>
    givenValue(view, value, narrow.has(value) ? activations : wide(activations));
  const put = (value: string, grids: StaticGrids, more: Partial<ValuePlan>): void => {
    const scheme = narrow.has(value) ? grids.activations : wide(grids.activations);
    if (!found.has(value)) found.set(value, { scope: "", scheme, observer, value, ...more, ...given(value, grids) });
  };
  for (const [node, { grids, weight }] of view.integers) {
    const read = readValues(view, node, weight);
    for (const name of read) put(name, grids, constantOperand(view, name));
    const more = gridOfOutput(view, node, grids, found.get(read[0] ?? ""));
    for (const name of madeValues(view, node, (value) => given(value, grids) !== undefined)) put(name, grids, more);
  }
  for (const node of view.integers.keys()) if (asOf(view, node) === "common-scale") joinScales(view, node, found);
  for (const value of view.graph.grids?.keys() ?? []) {
    if (!view.producers.has(value) && !view.graph.inputs.some(({ name }) => name === value)) continue;
    const own = isClamped(view, value) ? undefined : givenValue(view, value, view.activations);
    if (own !== undefined && !found.has(value)) found.set(value, { scope: "", value, observer, ...own });
  }
  return [...found.values()];
}

const constantOperand = ({ graph }: View, name: string): Partial<ValuePlan> =>
  graph.tensors.has(name) ? { constant: true } : {};

/** Values a node reads as codes; what a removed clamp reads gets none. */
function readValues({ dialect }: View, node: Node, weight: WeightInput | undefined): readonly string[] {
  const row = dialect.row(node)!;
  if (row.static(node).as === "clamp") return [];
  return weight !== undefined ? [node.inputs[weight.by ?? 0]!] : slotNames(row.data, node.inputs);
}

/** Values a node makes as codes; products that nobody reads as codes stay float where the kernel allows it. */
function madeValues(view: View, node: Node, isGiven: (value: string) => boolean): readonly string[] {
  const row = view.dialect.row(node)!;
  const kind = row.static(node);
  const names = slotNames(row.outputs, node.outputs);
  if (kind.as === "clamp") return names;
  const mayBeFloat = kind.as === "compute" && kind.floatOutput;
  return names.filter(
    (name) => !isClamped(view, name) && !(mayBeFloat && !wantsIntegers(view, name) && !isGiven(name)),
  );
}

/** Where the grid of outputs comes from, if not from what calibration sees. */
function gridOfOutput(
  { dialect }: View,
  node: Node,
  { activations }: StaticGrids,
  source: ValuePlan | undefined,
): Partial<ValuePlan> {
  const { static: kind, fixed, range } = dialect.row(node)!;
  const grid = fixed?.[activations.dtype];
  if (kind(node).as === "same-scale" && source) return { sameAs: source.value, scheme: source.scheme };
  return grid !== undefined ? { qparams: grid } : range !== undefined ? { range } : {};
}

/** Inputs that only this node reads, and constants, take on the range of its output; others are brought to it one by one. */
function joinScales(view: View, node: Node, found: Map<string, ValuePlan>): void {
  const row = view.dialect.row(node)!;
  const output = slotNames(row.outputs, node.outputs)[0]!;
  for (const name of slotNames(row.data, node.inputs)) {
    const plan = found.get(name)!;
    const isFree = plan.sameAs === undefined && plan.range === undefined && plan.qparams === undefined;
    if (isFree && view.consumers.get(name)?.length === 1 && !view.graph.outputs.some((port) => port.name === name))
      found.set(name, { ...plan, sameAs: output, scheme: found.get(output)!.scheme });
  }
}

/** The grid a value came with, where the scheme has room for it. */
function givenValue({ grids, graph }: View, value: string, scheme: Scheme) {
  const grid = grids.get(value);
  const own = grid && valueGrid(grid, scheme);
  return own && (graph.grids?.has(value) ? { ...own, everywhere: true } : own);
}

/** Values whose range must be observed; the others are given, or follow from their op or from another value. */
export const observedIn = (values: readonly ValuePlan[]): readonly string[] =>
  values
    .filter(({ range, sameAs, qparams, constant }) => !range && sameAs === undefined && !qparams && !constant)
    .map(({ value }) => value);

/** Read by a clamp that the quantization behind it replaces. */
const isClamped = ({ consumers, integers, dialect }: View, name: string): boolean =>
  (consumers.get(name) ?? []).some((node) => integers.has(node) && dialect.row(node)!.static(node).as === "clamp");
