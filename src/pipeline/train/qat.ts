/**
 * Quantization-aware training: the plan of a post-training quantization, its grids trained together with the weights, then
 * the same lowering to the same deployed form (Jacob et al., arXiv:1712.05877).
 */
import type { Dataset } from "../../containers/data.ts";
import type { TrainingData } from "../../containers/training-data.ts";
import type { Model } from "../../ir/model.ts";
import type { Plan } from "../../ir/plan.ts";
import { bitsOf } from "../../ir/scheme.ts";
import type { Stats } from "../../ir/stats.ts";
import { fail } from "../../numeric/errors.ts";
import type { Recipe } from "../../recipes/recipe.ts";
import { blockOutputs, imitatedEnds, withBlockLoss } from "../../train/blocks.ts";
import { withFeatureLoss } from "../../train/features.ts";
import { type LossSpec, lossParts, withLoss } from "../../train/losses.ts";
import { normalizeForTraining } from "../../train/normalize.ts";
import { adam } from "../../train/optimizers.ts";
import { insertFakeQuantize } from "../../train/qat/insert.ts";
import { gridParameters, learnedGrids, parameterGroups, planWith, withLearned } from "../../train/qat/learned.ts";
import { parametersOf } from "../../train/qat/parameters.ts";
import { withSizes } from "../../train/qat/sizes.ts";
import { trainingStep } from "../../train/step.ts";
import { refuseBadWeights } from "../bad-weights.ts";
import type { Host } from "../host.ts";
import { calibratePlan, type Made, type MakeInput, observedValues, type Planned, planFor } from "../make.ts";
import { matchMoments } from "../match.ts";
import { forBatches, withConstantsOf } from "../open-batch.ts";
import { type Hooks, noHooks, stopIfAborted } from "../progress.ts";
import { quantize } from "../quantize.ts";
import { fakeModel, type Point, startingGrids } from "../starting-grids.ts";
import { verify } from "../verify.ts";
import { asTrained, type FakeAgreement, fakeAgreement } from "./fake-agreement.ts";
import { keptOffTies } from "./off-ties.ts";
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
import { blockTeacher, teacherFor, teacherOf } from "./teacher.ts";
import { train } from "./train.ts";

/**
 * How the model is trained: towards the float model's answers unless told, which needs no labels. Rates are shares: of the root
 * mean square of each channel of a weight and of each bias, of scales, of the width of a grid for zero points.
 */
export interface QatTraining extends Training {
  /** Share of the epochs, at the start, in which weights alone are quantized; 0 by default. */
  readonly weightsFirst?: number;
  /**
   * Share of the epochs, after those, in which every block of the network learns for itself to give what the float model's
   * block gives; needs no labels. 0 by default.
   */
  readonly blockwise?: number;
  /**
   * Weight of the mean relative squared error of what blocks give, beside the loss at the output: they learn the float model's
   * values too, in which a sample says more than in its scores; needs no labels. 0 by default.
   */
  readonly features?: number;
  /** Factor on the rate of scales and zero points; by default 1, with integer products of weights of 2 bits and less 0.1. */
  readonly scaleRate?: number;
  /**
   * Strength of the pull that keeps weights from going back and forth between two codes (Nagel et al., arXiv:2203.11086): the
   * share of the way to the middle of its bin that a weight goes at each step, growing from 0 as the rate falls. By default 0.001
   * with integer products of weights of 2 bits and less, and 0 with others.
   */
  readonly dampening?: number;
  /**
   * Weights begin as floats and become what their codes stand for as the rate falls, in the first part where there are several;
   * for coarse grids and long runs. False by default.
   */
  readonly gradual?: boolean;
}

/** What `make` needs, and how to train on the way. */
export type QatInput = MakeInput & WithTraining<QatTraining>;

/** A trained and deployed model. */
export interface QatMade extends Made {
  /** Loss of every step. */
  readonly losses: Float32Array;
  /** The fake-quantized model beside the deployed one. */
  readonly fake: FakeAgreement;
}

/** A host that trains, too. */
export type QatHost = Host & TrainHost;

/** Gradients are written in operator set 16 and later. */
const MIN_OPSET = 17;
/** A scale that moves takes all codes of its channel along: with few of them that shakes the whole layer. */
const FEW_BITS = 2;
const FEW = { scaleRate: 0.1, dampening: 1e-3 };
const MORE: typeof FEW = { scaleRate: 1, dampening: 0 };
const DISTILLATION: LossSpec = { kind: "distillation" };

/** The recipe with an operator set that can be trained. */
const trainable = (recipe: Recipe): Recipe => {
  const opset = Math.max(recipe.scheme.opset ?? MIN_OPSET, MIN_OPSET);
  return { ...recipe, scheme: { ...recipe.scheme, opset } };
};

/** A stretch of a training with one step graph. */
interface Phase {
  readonly activations: boolean;
  /** True where every block has a loss of its own. */
  readonly blocks: boolean;
  readonly gradual: boolean;
  readonly epochs: number;
}

/** Samples as the loss reads them: one without labels is not fed any. */
function dataFor({ data }: QatTraining, spec: LossSpec): TrainingData {
  if (lossParts(spec).some(({ loss }) => loss.kind === "cross-entropy")) return data;
  return {
    length: data.length,
    async rows(indices) {
      const { labels, ...inputs } = await data.rows(indices);
      return inputs;
    },
  };
}

/** What is made small in a phase, and who says what it should be. */
function towards(model: Model, teaching: Model, spec: LossSpec, phase: Phase, { output, features = 0 }: QatTraining) {
  const ends = blockOutputs(teaching.graph);
  if (phase.blocks) {
    const lossy = withBlockLoss(model, ends, output);
    return { lossy, teacher: blockTeacher(teaching, lossy) };
  }
  const plain = withLoss(model, spec, output);
  const teacher = teacherFor(teaching, spec, plain, output);
  if (features === 0) return { lossy: plain, teacher };
  const lossy = withFeatureLoss(plain, imitatedEnds(model, ends, output), features);
  const targets = new Map([...(teacher?.targets ?? []), ...lossy.features]);
  return { lossy, teacher: teacherOf(teaching, targets, teacher?.answer) };
}

const defaultsFor = ({ nodes }: Plan): typeof FEW =>
  nodes.some(({ form, weight }) => form === "qdq" && weight !== undefined && bitsOf(weight.scheme) <= FEW_BITS)
    ? FEW
    : MORE;

/** The run of one phase, and the fake-quantized model it trains. */
async function phaseRun({ prepared, plan }: Planned, point: Point, phase: Phase, training: QatTraining) {
  const { clip, decay, optimizer = adam(), scaleRate, dampening } = { ...defaultsFor(plan), ...training };
  const spec = phase.blocks ? DISTILLATION : (training.loss ?? DISTILLATION);
  const { activations, gradual } = phase;
  const fake = insertFakeQuantize(point.model, plan, point.grids, { activations, gradual });
  const { lossy, teacher } = towards(await normalizeForTraining(fake.model), prepared, spec, phase, training);
  const own = parametersOf(prepared.graph);
  const { model, sizes } = await withSizes(lossy.model, prepared, plan, own);
  const step = trainingStep(model, {
    ...{ loss: lossy.loss, optimizer, parameters: [...own, ...gridParameters(fake)] },
    group: parameterGroups(fake, { sizes, scaleRate, dampening, ...(decay !== undefined && { decay }) }),
    ...(clip !== undefined && { clip }),
  });
  const run: TrainRun = {
    ...shownIn(training),
    ...{ step, data: dataFor(training, spec), epochs: phase.epochs },
    ...(teacher && { teacher }),
  };
  return { fake, run };
}

/** Grids of activations from what they are with quantized weights. */
async function recalibrated(host: TrainHost, point: Point, plan: Plan, samples: Dataset, hooks: Hooks): Promise<Point> {
  const stats = await calibratePlan(host, fakeModel(point, plan, false), plan, samples, { hooks });
  const { values } = await startingGrids(point.model, { ...plan, nodes: [] }, stats);
  return { ...point, grids: { ...point.grids, values } };
}

/** Whole epochs that a share of them comes to; one that comes to none would be left out without a word. */
function epochsOf(share: number, name: string, epochs: number): number {
  const found = Math.round(epochs * share);
  if (share > 0 && found === 0)
    fail(
      "usage",
      `training: ${name} ${share} comes to no whole epoch of ${epochs}; train for ${Math.ceil(0.5 / share)} epochs or more, or leave it out`,
    );
  return found;
}

function phasesOf(training: QatTraining, plan: Plan): readonly Phase[] {
  const { epochs, weightsFirst = 0, blockwise = 0, gradual = false } = training;
  const first = plan.values.length === 0 ? 0 : epochsOf(weightsFirst, "weightsFirst", epochs);
  const alone = Math.min(epochs - first, epochsOf(blockwise, "blockwise", epochs));
  const all = [
    { activations: false, blocks: false, epochs: first },
    { activations: true, blocks: true, epochs: alone },
    { activations: true, blocks: false, epochs: epochs - first - alone },
  ];
  return all.filter((phase) => phase.epochs > 0).map((phase, index) => ({ ...phase, gradual: gradual && index === 0 }));
}

/** What is known before training. */
export interface Begun extends Planned {
  readonly stats: Stats | undefined;
  readonly samples: Dataset;
  /** Values whose grids are not trained. */
  readonly fixed?: ReadonlySet<string>;
}

/** `learning` is the prepared model as it takes the batches of the training. */
async function begin(
  host: TrainHost,
  input: LearnInput & WithTraining<QatTraining>,
  hooks: Hooks,
): Promise<Begun & { readonly learning: Model }> {
  const step = hooks.progress.step(`planning ${input.recipe.scheme.name}`);
  const { prepared, plan } = await planFor(input.model, trainable(input.recipe), host, input.evaluation.data);
  step.done(`${plan.nodes.length} nodes`);
  await refuseBadWeights(prepared);
  const samples =
    input.calibration ?? fail("usage", "quantization-aware training needs samples to find its first ranges; give them");
  const { batch, data } = input.training;
  const begun = { prepared, plan, samples, learning: await forBatches(host, prepared, batch, data) };
  if (observedValues(plan).length === 0) return { ...begun, stats: undefined };
  const options = { model: input.digest, hooks };
  return { ...begun, stats: input.stats ?? (await calibratePlan(host, prepared, plan, samples, options)) };
}

/** A trained model with the plan it was trained for, and the model it was while it learned. */
export interface Deployable extends Planned {
  readonly stats?: Stats | undefined;
  readonly fake: Model;
}

/** Steps 5 and 6: the learned plan in its real form, run and compared; `trainer` runs the fake-quantized model. */
export async function deploy(host: Host, input: MakeInput, learned: Deployable, hooks: Hooks, trainer = host) {
  const { prepared, plan, stats } = learned;
  const quantized = await quantize(prepared, plan, stats);
  const staged = await host.stage(quantized.model, input.name, "output");
  try {
    const { reference, evaluation, random } = input;
    const made = { plan, prepared, ...quantized, ...(stats ? { stats } : {}) };
    const verified = await verify(host, { reference, candidate: staged, evaluation, random, made }, hooks);
    const fake = await fakeAgreement(trainer, learned.fake, staged, evaluation, host.engine);
    const findings = [...verified.findings, ...asTrained(fake)];
    return { staged, plan, verified: { ...verified, findings }, fake, ...(stats ? { stats } : {}) };
  } catch (error) {
    await staged[Symbol.asyncDispose]();
    throw error;
  }
}

/** Trains a planned model; answers where it ended, and the loss of every step. */
export async function learn(
  host: TrainHost,
  begun: Begun,
  training: QatTraining,
  hooks: Hooks,
  options: TrainOptions,
): Promise<{ readonly point: Point; readonly losses: Float32Array }> {
  const { prepared, plan, samples, stats, fixed } = begun;
  const phases = phasesOf(training, plan);
  const grids = { ...(await startingGrids(prepared, plan, stats)), ...(fixed && { fixed }) };
  const start: Point = { model: prepared, grids };
  const matched = await matchMoments(host, start, plan, samples, hooks);
  if (matched.reason !== undefined) hooks.progress.note(`layers were not matched: ${matched.reason}`);
  let { point } = matched;
  const losses: number[] = [];
  for (const [index, phase] of phases.entries()) {
    stopIfAborted(hooks.signal);
    if (index > 0 && !phases[index - 1]!.activations) point = await recalibrated(host, point, plan, samples, hooks);
    const { fake, run } = await phaseRun(begun, point, phase, training);
    const trained = await train(host, run, hooks, index === phases.length - 1 ? options : {});
    point = { model: withLearned(point.model, trained.state), grids: learnedGrids(fake, trained.state, point.grids) };
    losses.push(...trained.losses);
  }
  return { point: await keptOffTies(point, plan), losses: Float32Array.from(losses) };
}

/**
 * The steps up to training: prepare, plan, calibrate, train. Batch normalizations are folded into the weights before.
 * `options` hold for the last phase: where weights are trained alone at first, that part is not saved and runs again.
 */
export async function learnQat(
  host: TrainHost,
  input: LearnInput & WithTraining<QatTraining>,
  hooks: Hooks = noHooks,
  options: TrainOptions = {},
): Promise<Learned<QatMade>> {
  const begun = await begin(host, input, hooks);
  const { prepared, plan, stats, learning } = begun;
  const { point: open, losses } = await learn(host, { ...begun, prepared: learning }, input.training, hooks, options);
  const point = { ...open, model: withConstantsOf(prepared, open.model) };
  const learned = { prepared: point.model, plan: planWith(plan, point.grids), stats, fake: fakeModel(point, plan) };
  return { losses, deploy: async (place, full, told) => ({ ...(await deploy(place, full, learned, told)), losses }) };
}

/** All steps: those of `learnQat`, quantize, verify. The caller disposes what was staged, or puts it in its place. */
export async function qat(
  host: QatHost,
  input: QatInput,
  hooks: Hooks = noHooks,
  options: TrainOptions = {},
): Promise<QatMade> {
  const learned = await learnQat(host, input, hooks, options);
  return learned.deploy(host, input, hooks);
}
