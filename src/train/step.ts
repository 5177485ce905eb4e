/**
 * One training step as one plain model: forward pass, loss, gradients and optimizer. Parameters and the optimizer's slots
 * come in as inputs and go out as outputs `next/NAME`, so any engine that runs models trains them.
 */
import { tensor, valueInfo } from "../ir/build.ts";
import { withGraph } from "../ir/edit.ts";
import type { Graph, Model, Tensor } from "../ir/model.ts";
import { elementCount } from "../numeric/dtypes.ts";
import { fail } from "../numeric/errors.ts";
import { expand } from "./expand.ts";
import { gradientGraph } from "./gradient.ts";
import { TRAINING_OPS } from "./ops/index.ts";
import type { Optimizer, UpdateSite } from "./optimizers.ts";
import { poolsAsMaxima } from "./pools-as-maxima.ts";
import { reluBehindPool } from "./relu-behind-pool.ts";
import { add, startWriting, type Writer, type Writing, writerFor, written } from "./writer.ts";

/** How one parameter differs from the others. */
export interface ParameterGroup {
  /** Factor on the learning rate; 1 by default. A name is that of an initializer with a factor for each entry, broadcast. */
  readonly rate?: number | string;
  /** Weight decay; none by default. */
  readonly decay?: number;
  /** Smallest value the parameter may take: scales must stay above zero. */
  readonly min?: number;
  /** Writes what is added after each step, times how far the schedule's rate has fallen: a pull that grows as steps get short. */
  readonly pull?: (writer: Writer) => string;
}

/** What to train, and how. */
export interface StepOptions {
  /** Scalar output to make small. */
  readonly loss: string;
  /** Initializers that are trained, float32. */
  readonly parameters: readonly string[];
  readonly optimizer: Optimizer;
  readonly group?: (parameter: string) => ParameterGroup;
  /** Largest Euclidean norm of all gradients together; longer ones are shortened to it (Pascanu et al., arXiv:1211.5063). */
  readonly clip?: number;
  /** Initializers that follow another value of the graph instead of a gradient (running statistics): name -> that value. */
  readonly follow?: ReadonlyMap<string, string>;
}

/** A step and all it must be fed besides a batch. */
export interface TrainingStep {
  /** Inputs: the batch, the state, `rate` and the optimizer's numbers. Outputs: `loss`, `norm`, `next/NAME` for the state. */
  readonly model: Model;
  /** Names of the model's outputs. */
  readonly loss: string;
  /** Euclidean norm of the gradients before clipping. */
  readonly norm: string;
  /** What goes round: initial values by input name; first the parameters, then what follows, then slots. */
  readonly state: readonly Tensor[];
  readonly parameters: readonly string[];
  readonly optimizer: Optimizer;
}

/** Name of the output that holds the next value of a state input. */
export const nextOf = (name: string): string => `next/${name}`;
/** The input that takes the learning rate. */
export const RATE = "train/rate";
/** The input that takes how far the rate has fallen, where a parameter is pulled or the model itself reads it. */
export const FALLEN = "train/fallen";
/** The input that takes a number of the optimizer. */
export const numberInput = (name: string): string => `train/${name}`;

/**
 * Inputs whose names begin with this are fed fresh uniform numbers in [0, 1) at every step, float32 of their fixed shape,
 * drawn from the seed of the run, the number of the step and the name: noise that no session has to remember.
 */
export const NOISE = "train/noise";

const f32 = "float32";

const initializer = ({ tensors }: Graph, name: string): Tensor =>
  tensors.get(name) ?? fail("usage", `training: "${name}" is not an initializer; name weights of the model`);

function slotTensors({ tensors }: Graph, parameter: string, optimizer: Optimizer): readonly Tensor[] {
  const { shape } = tensors.get(parameter)!;
  return optimizer.slots.map((slot) =>
    tensor(`${parameter}/${slot}`, f32, shape, new Float32Array(elementCount(shape))),
  );
}

/** Euclidean norm of all gradients together. */
function normOf({ emit }: Writer, gradients: readonly string[]): string {
  const squares = gradients.map((name) => emit("ReduceSumSquare", [name], { keepdims: 0 }));
  return emit("Sqrt", [squares.length === 1 ? squares[0]! : emit("Sum", squares)]);
}

/** min(1, clip / norm) */
const shortening = ({ emit, scalar }: Writer, norm: string, clip: number): string =>
  emit("Min", [scalar(1, f32), emit("Div", [scalar(clip, f32), emit("Add", [norm, scalar(1e-12, f32)])])]);

function updateParameter(site: UpdateSite, group: ParameterGroup, optimizer: Optimizer): readonly string[] {
  const { emit, scalar } = site.writer;
  const factor = typeof group.rate === "number" ? scalar(group.rate, f32) : group.rate;
  const rate = factor === undefined ? site.rate : emit("Mul", [site.rate, factor]);
  const next = optimizer.update({ ...site, rate });
  const pulled = group.pull
    ? emit("Add", [next.parameter, emit("Mul", [group.pull(site.writer), FALLEN])])
    : next.parameter;
  const bounded = group.min === undefined ? pulled : emit("Max", [pulled, scalar(group.min, f32)]);
  return [bounded, ...next.slots];
}

/** State name -> the value that comes next, for every parameter and its slots; and the norm of all gradients. */
function updates(writer: Writer, slots: readonly (readonly Tensor[])[], options: StepOptions) {
  const { parameters, optimizer, group, clip } = options;
  const names = Object.keys(optimizer.numbers(1));
  const numbers = Object.fromEntries(names.map((name) => [name, numberInput(name)]));
  const gradients = parameters.map((name) => `grad/${name}`);
  const norm = normOf(writer, gradients);
  const factor = clip === undefined ? undefined : shortening(writer, norm, clip);
  const next: [string, string][] = [];
  for (const [index, parameter] of parameters.entries()) {
    const own = slots[index]!.map(({ name }) => name);
    const gradient = factor === undefined ? gradients[index]! : writer.emit("Mul", [gradients[index]!, factor]);
    const settings = group?.(parameter) ?? {};
    const site = { writer, parameter, gradient, slots: own, rate: RATE, decay: settings.decay ?? 0, numbers };
    const made = updateParameter(site, settings, optimizer);
    for (const [at, name] of [parameter, ...own].entries()) next.push([name, made[at]!]);
  }
  return { next, norm };
}

/** The model's constants `names` as inputs of the same name and type. */
function asInputs(graph: Graph, names: readonly string[]): Graph {
  const tensors = new Map(graph.tensors);
  for (const name of names) tensors.delete(name);
  const given = new Set(names);
  const inputs = names.map((name) => valueInfo(name, f32, graph.tensors.get(name)!.shape));
  return { ...graph, tensors, inputs: [...graph.inputs.filter(({ name }) => !given.has(name)), ...inputs] };
}

function checkParameters(graph: Graph, parameters: readonly string[], names: readonly string[]): void {
  if (parameters.length === 0) fail("usage", "training: no parameter is left to train; nothing would change");
  for (const name of names) {
    const { dtype } = initializer(graph, name);
    if (dtype !== f32)
      fail("unsupported", `training: "${name}" is ${dtype}, expected float32; convert the model first`);
  }
}

/** The differentiated graph with the state, the rate and the optimizer's numbers as inputs. */
function withInputs(
  graph: Graph,
  state: readonly Tensor[],
  constants: readonly string[],
  { parameters, optimizer, group }: StepOptions,
): Graph {
  const bare = asInputs(graph, constants);
  const slots = state.slice(constants.length).map(({ name, shape }) => valueInfo(name, f32, shape));
  const isFed = graph.inputs.some(({ name }) => name === FALLEN);
  const pulled = !isFed && parameters.some((name) => group?.(name).pull !== undefined);
  const numbers = [RATE, ...(pulled ? [FALLEN] : []), ...Object.keys(optimizer.numbers(1)).map(numberInput)];
  return { ...bare, inputs: [...bare.inputs, ...slots, ...numbers.map((name) => valueInfo(name, f32, []))] };
}

/** Gives values their names as outputs: to those made here in place of their own, which saves a copy of each; else by a copy. */
function finish(writing: Writing, named: readonly (readonly [string, string])[]): Writing {
  const made = new Set(writing.added.flatMap(({ outputs }) => outputs));
  const names = new Map<string, string>();
  for (const [value, output] of named)
    if (made.has(value) && !names.has(value)) names.set(value, output);
    else add(writing, "Identity", [value], [output]);
  const renamed = (list: readonly string[]) => list.map((name) => names.get(name) ?? name);
  const added = writing.added.map((node) => ({
    ...node,
    inputs: renamed(node.inputs),
    outputs: renamed(node.outputs),
  }));
  return { ...writing, added };
}

/**
 * Makes the step of a model whose loss is one of its outputs; the other outputs are left out. Training ops of fewbit's
 * own (fake quantization, integer products) are expanded to plain ones.
 */
export function trainingStep(model: Model, options: StepOptions): TrainingStep {
  const { loss, parameters, optimizer, follow = new Map<string, string>() } = options;
  const constants = [...parameters, ...follow.keys()];
  checkParameters(model.graph, parameters, constants);
  const slots = parameters.map((name) => slotTensors(model.graph, name, optimizer));
  const state = [...constants.map((name) => initializer(model.graph, name)), ...slots.flat()];
  const kept = new Set(follow.values());
  const forward = withGraph(model, poolsAsMaxima(reluBehindPool(model.graph, kept), parameters, kept));
  const { graph } = gradientGraph(forward, loss, parameters);
  const writing = startWriting(withInputs(graph, state, constants, options), "step");
  const made = updates(writerFor(writing, "training step"), slots, options);
  const next = new Map([...follow, ...made.next]);
  const [norm] = add(writing, "Identity", [made.norm], [writing.fresh("norm")]) as [string];
  const finished = finish(
    writing,
    state.map(({ name }) => [next.get(name)!, nextOf(name)] as const),
  );
  const outputs = [
    ...[loss, norm].map((name) => valueInfo(name, f32, [])),
    ...state.map(({ name, shape }) => valueInfo(nextOf(name), f32, shape)),
  ];
  const whole = withGraph(model, { ...written(finished), outputs });
  return { model: expand(whole, TRAINING_OPS), loss, norm, state, parameters, optimizer };
}
