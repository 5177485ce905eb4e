/**
 * Training in integers: products of 8-bit codes forward and backward, weights on the grid of a scheme from the first step on,
 * and the result written in that very form. Starts from whatever weights the model has, random ones too.
 */
import { nodeLabel } from "../../ir/edit.ts";
import type { Model } from "../../ir/model.ts";
import { codesOf, type Scheme } from "../../ir/scheme.ts";
import { fail } from "../../numeric/errors.ts";
import { FIRST, GENERAL, raiseOpset } from "../../passes/index.ts";
import { type Recipe, ruleFor } from "../../recipes/recipe.ts";
import { expand } from "../../train/expand.ts";
import { trainingForm } from "../../train/layers/training-form.ts";
import { withLoss } from "../../train/losses.ts";
import { formatWith, type WeightFormatName } from "../../train/low-precision/formats.ts";
import { type IntegerProducts, withIntegerProducts } from "../../train/low-precision/rewrite.ts";
import { normalizeForTraining, withoutFunctions } from "../../train/normalize.ts";
import { TRAINING_OPS } from "../../train/ops/index.ts";
import { adam } from "../../train/optimizers.ts";
import { withLearned } from "../../train/qat/learned.ts";
import { parametersOf } from "../../train/qat/parameters.ts";
import { trainingStep } from "../../train/step.ts";
import { refuseBadWeights } from "../bad-weights.ts";
import type { Host } from "../host.ts";
import { calibratePlan, type Made, type MakeInput, observedValues, type Planned } from "../make.ts";
import { forBatches } from "../open-batch.ts";
import { endsOf } from "../plan.ts";
import { type Hooks, noHooks, stopIfAborted } from "../progress.ts";
import { quantize } from "../quantize.ts";
import { verify } from "../verify.ts";
import { type FakeAgreement, fakeAgreement } from "./fake-agreement.ts";
import {
  type Learned,
  type LearnInput,
  shownIn,
  type TrainHost,
  type Training,
  type TrainOptions,
  type TrainRun,
  type WithTraining,
} from "./run.ts";
import { teacherFor } from "./teacher.ts";
import { train } from "./train.ts";
import { trainedPlan } from "./trained-plan.ts";

/** How the model is trained: with cross-entropy unless told. */
export interface LowPrecisionTraining extends Training {
  /** Gradients are products of integers too; true by default. */
  readonly backward?: boolean;
  /** Gradients are rounded up and down at random instead of to the nearest, which loses the small ones; true by default. */
  readonly stochastic?: boolean;
  /** Parameters that stay as they are; products with them stay in float32. */
  readonly freeze?: (parameter: string) => boolean;
}

/** What `make` needs, and how to train on the way. */
export type LowPrecisionInput = MakeInput & WithTraining<LowPrecisionTraining>;

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

/** In place of four odd codes, which lose more here: weights that begin at random need a zero. */
const FOUR_CODES: WeightFormatName = "int2";

/** The grid that the scheme's weights lie on, or what is trained in its place. */
function formatOf({ scheme }: Recipe): WeightFormatName {
  const activations = scheme.static?.activations;
  const weights: Scheme | undefined =
    scheme.static?.weights ?? scheme.steps.find(({ form }) => form === "dynamic")?.scheme;
  const format = weights?.odd ? FOUR_CODES : weights && formatWith(codesOf(weights));
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
  let current = await withoutFunctions(model);
  for (const pass of passes.filter(({ name }) => name !== "fold-batch-norm")) current = await pass.apply(current, {});
  await refuseBadWeights(current);
  return current;
}

/** Nodes that the recipe keeps in float. */
function keptBy(recipe: Recipe, model: Model): ReadonlySet<string> {
  const ends = endsOf(model);
  const labels = model.graph.nodes.flatMap((node, index) => {
    const label = nodeLabel(node)!;
    const rule = ruleFor(recipe, { scope: "", index, node: label, op: node.op }, ends.has(node));
    return rule?.scheme === "keep" ? [label] : [];
  });
  return new Set(labels);
}

/** Integer products wherever the recipe wants them but in the last one. */
function integerProducts(
  model: Model,
  { recipe, training }: LearnInput & WithTraining<LowPrecisionTraining>,
): IntegerProducts {
  const { backward = true, stochastic = true } = training;
  const parameters = parametersOf(model.graph).filter((name) => !training.freeze?.(name));
  const settings = { parameters, format: formatOf(recipe), backward, stochastic };
  return withIntegerProducts(model, { ...settings, alsoKeep: keptBy(recipe, model) });
}

/** The run, and what it trains. */
async function runOf(base: Model, input: LearnInput & WithTraining<LowPrecisionTraining>) {
  const { training } = input;
  const form = await trainingForm(base);
  const { model, ...products } = integerProducts(await normalizeForTraining(form.model), input);
  if (products.integer.length === 0)
    fail(
      "unsupported",
      `low-precision training: no product of this model can be one of integers (${products.kept.map(({ node, reason }) => `${node}: ${reason}`).join("; ") || "it has none with trained weights"})`,
    );
  const { loss: spec = { kind: "cross-entropy" }, output, optimizer = adam(), clip, decay = 0, freeze } = training;
  const { tensors } = base.graph;
  const lossy = withLoss(model, spec, output);
  const step = trainingStep(lossy.model, {
    ...{ loss: lossy.loss, optimizer, follow: form.follow },
    parameters: parametersOf(base.graph).filter((name) => !freeze?.(name)),
    group: (name) => ({ decay: (tensors.get(name)?.shape.length ?? 0) > 1 ? decay : 0 }),
    ...(clip !== undefined && { clip }),
  });
  const teacher = teacherFor(base, spec, lossy, output);
  const run: TrainRun = {
    ...shownIn(training),
    step,
    ...(teacher && { teacher }),
  };
  return { run, products };
}

/** The forward pass as it was trained, in plain ops. */
const forward = async (model: Model, input: LowPrecisionInput): Promise<Model> =>
  expand(
    integerProducts(await normalizeForTraining(model), { ...input, training: { ...input.training, stochastic: false } })
      .model,
    TRAINING_OPS,
  );

/** Ranges of values when weights are on their grids. */
async function statistics(host: Host, { prepared, plan }: Planned, input: LowPrecisionInput, hooks: Hooks) {
  if (observedValues(plan).length === 0) return undefined;
  const samples = input.calibration ?? fail("usage", `scheme ${plan.scheme} needs samples to find ranges; give them`);
  return calibratePlan(host, prepared, plan, samples, { model: input.digest, hooks });
}

/** The trained model in the form of the scheme, run and compared. */
async function deploy(host: Host, input: LowPrecisionInput, trained: Model, products: Products, hooks: Hooks) {
  const integer = new Set(products.integer.map(({ weight }) => weight));
  const { prepared, plan } = await trainedPlan(host, trained, input, formatOf(input.recipe), integer);
  const stats = await statistics(host, { prepared, plan }, input, hooks);
  const { model, findings } = await quantize(prepared, plan, stats);
  const staged = await host.stage(model, input.name, "output");
  try {
    const { reference, evaluation, random } = input;
    const made = { plan, prepared, model, findings, ...(stats ? { stats } : {}) };
    const verified = await verify(host, { reference, candidate: staged, evaluation, random, made }, hooks);
    const agreement = await fakeAgreement(host, await forward(trained, input), staged, evaluation);
    return { staged, plan, verified, trained: agreement, ...(stats ? { stats } : {}) };
  } catch (error) {
    await staged[Symbol.asyncDispose]();
    throw error;
  }
}

/** The first step: trains in integers. Products whose weights are trained are integers but for the last one and those that are slower so. */
export async function learnLowPrecision(
  host: TrainHost,
  input: LearnInput & WithTraining<LowPrecisionTraining>,
  hooks: Hooks = noHooks,
  options: TrainOptions = {},
): Promise<Learned<LowPrecisionMade>> {
  formatOf(input.recipe);
  const base = await trainable(input.model, input.recipe);
  const learning = await forBatches(host, base, input.training.batch, input.training.data);
  const { run, products } = await runOf(learning, input);
  const { state, losses } = await train(host, run, hooks, options);
  stopIfAborted(hooks.signal);
  const trained = withLearned(base, state);
  const { training } = input;
  return {
    losses,
    async deploy(place, full, told) {
      const made = await deploy(place, { ...full, training }, trained, products, told);
      return { ...made, losses, products };
    },
  };
}

/**
 * All steps: train in integers, plan, calibrate, quantize, verify. Products that were not trained as integers stay float32 in
 * the deployed model. The caller disposes what was staged, or puts it in its place.
 */
export async function lowPrecision(
  host: Host & TrainHost,
  input: LowPrecisionInput,
  hooks: Hooks = noHooks,
  options: TrainOptions = {},
): Promise<LowPrecisionMade> {
  const learned = await learnLowPrecision(host, input, hooks, options);
  return learned.deploy(host, input, hooks);
}
