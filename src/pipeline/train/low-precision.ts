/**
 * Training in integers: products of 8-bit codes forward and backward, weights on the grid of a scheme from the first step on,
 * and the result written in that very form. Starts from whatever weights the model has, random ones too.
 */
import type { TrainingData } from "../../containers/training-data.ts";
import { nodeLabel, withGraph, withTensors } from "../../ir/edit.ts";
import type { Model, Tensor } from "../../ir/model.ts";
import type { NodePlan } from "../../ir/plan.ts";
import { codesOf, type QParams, type Scheme } from "../../ir/scheme.ts";
import { bytesSource, readAll } from "../../ir/source.ts";
import { bytesOf, decodeFloats } from "../../numeric/convert.ts";
import { elementCount } from "../../numeric/dtypes.ts";
import { fail } from "../../numeric/errors.ts";
import { roundHalfEven } from "../../numeric/rounding.ts";
import { FIRST, GENERAL, raiseOpset } from "../../passes/index.ts";
import { DEFAULT_OBSERVER, type Recipe, ruleFor } from "../../recipes/recipe.ts";
import { expand } from "../../train/expand.ts";
import { trainingForm } from "../../train/layers/training-form.ts";
import { type LossSpec, withLoss } from "../../train/losses.ts";
import { channelScales, formatWith, WEIGHT_FORMATS, type WeightFormatName } from "../../train/low-precision/formats.ts";
import { type IntegerProducts, withIntegerProducts } from "../../train/low-precision/rewrite.ts";
import { TRAINING_OPS } from "../../train/ops/index.ts";
import { adam, type Optimizer } from "../../train/optimizers.ts";
import { withLearned } from "../../train/qat/learned.ts";
import { parametersOf } from "../../train/qat/parameters.ts";
import type { Schedule } from "../../train/schedule.ts";
import { trainingStep } from "../../train/step.ts";
import type { Host } from "../host.ts";
import { calibratePlan, type Made, type MakeInput, observedValues, type Planned, planFor } from "../make.ts";
import { planModel } from "../plan.ts";
import { type Hooks, noHooks, stopIfAborted } from "../progress.ts";
import { quantize } from "../quantize.ts";
import { verify } from "../verify.ts";
import type { Augment } from "./augment.ts";
import { type FakeAgreement, fakeAgreement } from "./fake-agreement.ts";
import type { TrainHost, TrainOptions, TrainRun } from "./run.ts";
import { teacherFor } from "./teacher.ts";
import { train } from "./train.ts";

/** How the model is trained. */
export interface LowPrecisionTraining {
  /** Rows of the model's inputs by name; class numbers as int64 "labels" where the loss reads them. */
  readonly data: TrainingData;
  /** Cross-entropy unless told. */
  readonly loss?: LossSpec;
  readonly epochs: number;
  readonly batch: number;
  readonly schedule: Omit<Schedule, "steps">;
  readonly seed: number;
  /** Adam unless told. */
  readonly optimizer?: Optimizer;
  /** Gradients are products of integers too; true by default. */
  readonly backward?: boolean;
  /** Gradients are rounded up and down at random instead of to the nearest. */
  readonly stochastic?: boolean;
  readonly augment?: Augment;
  /** Largest Euclidean norm of all gradients together. */
  readonly clip?: number;
  /** Weight decay; 0 by default. */
  readonly decay?: number;
  /** Output that is trained, where there are several. */
  readonly output?: string;
}

/** What `make` needs, and how to train on the way. */
export interface LowPrecisionInput extends MakeInput {
  readonly training: LowPrecisionTraining;
}

type Products = Pick<IntegerProducts, "integer" | "kept">;

/** A trained and deployed model. */
export interface LowPrecisionMade extends Made {
  /** Loss of every step. */
  readonly losses: Float32Array;
  /** The model as it was trained beside the deployed one. */
  readonly trained: FakeAgreement;
  /** Which products were integers, and which were not and why. */
  readonly products: Products;
}

/** Reductions take their axes as an input from here on. */
const MIN_OPSET = 18;
const KEPT = "it was trained in float32";

/** The grid that the scheme's weights lie on. */
function formatOf({ scheme }: Recipe): WeightFormatName {
  const activations = scheme.static?.activations;
  const weights: Scheme | undefined =
    scheme.static?.weights ?? scheme.steps.find(({ form }) => form === "dynamic")?.scheme;
  const format = weights && formatWith(codesOf(weights));
  if (format === undefined || (activations !== undefined && activations.codes !== undefined))
    return fail(
      "usage",
      `low-precision training computes with 8-bit activations and weights of 8, 4, 3 or 2 bits or ternary; scheme ${scheme.name} is none of these, use w8a8, w8a8-dynamic, w4a8, w3a8, w2a8 or w1.58a8`,
    );
  return format;
}

/** The model as its weights are trained: batch normalizations stay, since starting from random weights needs them. */
async function trainable(model: Model, { scheme }: Recipe): Promise<Model> {
  const passes = [...FIRST, raiseOpset(Math.max(scheme.opset ?? MIN_OPSET, MIN_OPSET)), ...GENERAL];
  let current = model;
  for (const pass of passes.filter(({ name }) => name !== "fold-batch-norm")) current = await pass.apply(current, {});
  return current;
}

/** Nodes that the recipe keeps in float. */
const keptBy = (recipe: Recipe, { graph }: Model): ReadonlySet<string> =>
  new Set(
    graph.nodes.flatMap((node, index) => {
      const label = nodeLabel(node)!;
      return ruleFor(recipe, { scope: "", index, node: label, op: node.op })?.scheme === "keep" ? [label] : [];
    }),
  );

/** Integer products wherever the recipe wants them but in the last one. */
function integerProducts(model: Model, { recipe, training }: LowPrecisionInput): IntegerProducts {
  const { backward = true, stochastic = false } = training;
  const parameters = parametersOf(model.graph);
  const settings = { parameters, format: formatOf(recipe), backward, stochastic };
  return withIntegerProducts(model, { ...settings, alsoKeep: keptBy(recipe, model) });
}

/** The run, and what it trains. */
async function runOf(base: Model, input: LowPrecisionInput) {
  const { training } = input;
  const form = await trainingForm(base);
  const { model, ...products } = integerProducts(form.model, input);
  if (products.integer.length === 0)
    fail(
      "unsupported",
      `low-precision training: no product of this model can be one of integers (${products.kept.map(({ node, reason }) => `${node}: ${reason}`).join("; ") || "it has none with trained weights"})`,
    );
  const { loss: spec = { kind: "cross-entropy" }, output, optimizer = adam(), clip, decay } = training;
  const lossy = withLoss(model, spec, output);
  const step = trainingStep(lossy.model, {
    ...{ loss: lossy.loss, parameters: parametersOf(form.model.graph), optimizer, follow: form.follow },
    ...(clip !== undefined && { clip }),
    ...(decay !== undefined && { group: () => ({ decay }) }),
  });
  const { data, epochs, batch, schedule, seed, augment } = training;
  const teacher = teacherFor(base, spec, lossy, output);
  const run: TrainRun = {
    ...{ step, data, epochs, batch, schedule, seed },
    ...(augment && { augment }),
    ...(teacher && { teacher }),
  };
  return { run, products };
}

/** Training has spread codes over the whole range of a batch; so does the file, unless another observer was named. */
const withWholeRanges = (recipe: Recipe): Recipe =>
  recipe.observer === DEFAULT_OBSERVER ? { ...recipe, observer: "min-max" } : recipe;

/** The plan in which just the products that were integers in training are quantized. */
async function planTrained(host: Host, model: Model, input: LowPrecisionInput, products: Products) {
  const { evaluation } = input;
  const recipe = withWholeRanges(input.recipe);
  const { prepared, plan } = await planFor(model, recipe, host, evaluation.data);
  const integer = new Set(products.integer.map(({ weight }) => weight));
  const floats = new Set(parametersOf(model.graph).filter((name) => !integer.has(name)));
  const others = plan.nodes.filter(({ weight }) => weight !== undefined && floats.has(weight.tensor));
  const rule = { match: { node: others.map(({ node }) => node) }, scheme: "keep", reason: KEPT };
  return {
    prepared,
    plan: others.length === 0 ? plan : planModel(prepared, { ...recipe, rules: [...recipe.rules, rule] }),
  };
}

const valuesOf = async (tensor: Tensor): Promise<Float32Array> =>
  decodeFloats(await readAll(tensor.data), tensor.dtype);

interface Grid {
  readonly qparams: QParams;
  /** Codes times scales: what the products saw. */
  readonly seen: Tensor;
}

/** The grid that training has rounded a weight to. */
async function gridOf(tensor: Tensor, axis: number, name: WeightFormatName): Promise<Grid> {
  const format = WEIGHT_FORMATS[name];
  const { shape } = tensor;
  const values = await valuesOf(tensor);
  const scale = channelScales(values, shape, axis, format);
  const inner = elementCount(shape.slice(axis + 1));
  const [low, high] = format.codes;
  const seen = values.map((value, index) => {
    const step = scale[Math.floor(index / inner) % scale.length]!;
    return Math.min(Math.max(roundHalfEven(Math.fround(value / step)), low), high) * step;
  });
  return {
    qparams: { scale, zeroPoint: new Int32Array(scale.length) },
    seen: { ...tensor, data: bytesSource(bytesOf(seen)) },
  };
}

/** Weights as the products saw them, and their grids in the plan. */
async function onGrids({ prepared, plan }: Planned, name: WeightFormatName, products: Products): Promise<Planned> {
  const { graph } = prepared;
  const trained = new Set(products.integer.map(({ weight }) => weight));
  const seen = new Map<string, Tensor>();
  const nodes: NodePlan[] = [];
  for (const entry of plan.nodes) {
    const { weight } = entry;
    const tensor = weight && graph.tensors.get(weight.tensor);
    if (weight === undefined || tensor === undefined || !trained.has(tensor.name)) {
      nodes.push(entry);
      continue;
    }
    const grid = await gridOf(tensor, weight.axis, name);
    seen.set(tensor.name, grid.seen);
    nodes.push({ ...entry, weight: { ...weight, qparams: grid.qparams } });
  }
  return { prepared: withGraph(prepared, withTensors(graph, [...seen.values()])), plan: { ...plan, nodes } };
}

/** The forward pass as it was trained, in plain ops. */
const forward = (model: Model, input: LowPrecisionInput): Model =>
  expand(integerProducts(model, { ...input, training: { ...input.training, stochastic: false } }).model, TRAINING_OPS);

/** Ranges of values when weights are on their grids. */
async function statistics(host: Host, { prepared, plan }: Planned, input: LowPrecisionInput, hooks: Hooks) {
  if (observedValues(plan).length === 0) return undefined;
  const samples = input.calibration ?? fail("usage", `scheme ${plan.scheme} needs samples to find ranges; give them`);
  return calibratePlan(host, prepared, plan, samples, { model: input.digest, hooks });
}

/** The trained model in the form of the scheme, run and compared. */
async function deploy(host: Host, input: LowPrecisionInput, trained: Model, products: Products, hooks: Hooks) {
  const found = await planTrained(host, trained, input, products);
  const { prepared, plan } = await onGrids(found, formatOf(input.recipe), products);
  const stats = await statistics(host, { prepared, plan }, input, hooks);
  const { model, findings } = await quantize(prepared, plan, stats);
  const staged = await host.stage(model, input.name, "output");
  try {
    const { reference, evaluation, random } = input;
    const made = { plan, prepared, model, findings, ...(stats ? { stats } : {}) };
    const verified = await verify(host, { reference, candidate: staged, evaluation, random, made }, hooks);
    const agreement = await fakeAgreement(host, forward(trained, input), staged, evaluation);
    return { staged, plan, verified, trained: agreement, ...(stats ? { stats } : {}) };
  } catch (error) {
    await staged[Symbol.asyncDispose]();
    throw error;
  }
}

/**
 * All steps: train in integers, plan, calibrate, quantize, verify. Products whose weights are trained are integers but for the
 * last one and those that are slower so; they stay float32 in the deployed model. The caller disposes what was staged, or
 * puts it in its place.
 */
export async function lowPrecision(
  host: Host & TrainHost,
  input: LowPrecisionInput,
  hooks: Hooks = noHooks,
  options: TrainOptions = {},
): Promise<LowPrecisionMade> {
  formatOf(input.recipe);
  const base = await trainable(input.model, input.recipe);
  const { run, products } = await runOf(base, input);
  const { state, losses } = await train(host, run, hooks, options);
  stopIfAborted(hooks.signal);
  const made = await deploy(host, input, withLearned(base, state), products, hooks);
  return { ...made, losses, products };
}
