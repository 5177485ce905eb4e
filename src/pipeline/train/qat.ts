/**
 * Quantization-aware training: the plan of a post-training quantization, its grids trained together with the weights, then
 * the same lowering to the same deployed form (Jacob et al., arXiv:1712.05877).
 */
import type { Dataset } from "../../containers/data.ts";
import type { TrainingData } from "../../containers/training-data.ts";
import type { Session } from "../../engines/contract.ts";
import { withTaps } from "../../engines/taps.ts";
import type { Feeds, Model, NDArray } from "../../ir/model.ts";
import type { NodePlan, Plan } from "../../ir/plan.ts";
import type { QParams } from "../../ir/scheme.ts";
import type { Stats } from "../../ir/stats.ts";
import { gridOf } from "../../lowering/qdq.ts";
import { startParams } from "../../lowering/start.ts";
import { floatsOf } from "../../numeric/convert.ts";
import { fail } from "../../numeric/errors.ts";
import { addAgreement, type Hits, noHits, share } from "../../numeric/metrics.ts";
import type { Recipe } from "../../recipes/recipe.ts";
import { expand } from "../../train/expand.ts";
import { type LossSpec, lossParts, predictionOf, trainedOutput, withLoss } from "../../train/losses.ts";
import { TRAINING_OPS } from "../../train/ops/index.ts";
import { adam, type Optimizer } from "../../train/optimizers.ts";
import { weightLayout } from "../../train/qat/grids.ts";
import { type FakeQuantized, insertFakeQuantize, type QatStart } from "../../train/qat/insert.ts";
import {
  gridParameters,
  type Learned,
  learnedGrids,
  parameterGroups,
  planWith,
  sizesOf,
  withLearned,
} from "../../train/qat/learned.ts";
import { parametersOf } from "../../train/qat/parameters.ts";
import type { Schedule } from "../../train/schedule.ts";
import { trainingStep } from "../../train/step.ts";
import { refuseBadWeights } from "../bad-weights.ts";
import type { CalibrateOptions } from "../calibrate.ts";
import type { Host, Staged } from "../host.ts";
import { calibratePlan, type Made, type MakeInput, observedValues, planFor } from "../make.ts";
import { type Hooks, noHooks, stopIfAborted } from "../progress.ts";
import { quantize } from "../quantize.ts";
import { batchSize, type Evaluation } from "../verify/outputs.ts";
import { verify } from "../verify.ts";
import type { Augment } from "./augment.ts";
import { augmentRandom } from "./order.ts";
import { train } from "./train.ts";

/** How the model is trained. */
export interface QatTraining {
  /** Rows of the model's inputs by name; class numbers as int64 "labels" where the loss reads them. */
  readonly data: TrainingData;
  /** Distillation from the float model unless told: it needs no labels. */
  readonly loss?: LossSpec;
  readonly epochs: number;
  readonly batch: number;
  readonly schedule: Omit<Schedule, "steps">;
  readonly seed: number;
  /** Adam unless told. */
  readonly optimizer?: Optimizer;
  /** Share of the epochs, at the start, in which weights alone are quantized; 0 by default. */
  readonly weightsFirst?: number;
  readonly augment?: Augment;
  /** Largest norm of all gradients together. */
  readonly clip?: number;
  readonly decay?: number;
  readonly scaleRate?: number;
}

/** What `make` needs, and how to train on the way. */
export interface QatInput extends MakeInput {
  readonly training: QatTraining;
}

/** A trained and deployed model. */
export interface QatMade extends Made {
  /** Loss of every step. */
  readonly losses: Float32Array;
  /** Share of the evaluation's samples that the fake-quantized and the deployed model put in the same class. */
  readonly fakeAgreement?: number;
  /** Share of the labelled samples the fake-quantized model gets right. */
  readonly fakeTop1?: number;
}

/** Gradients are written in operator set 16 and later. */
const MIN_OPSET = 17;

const withOpset = (recipe: Recipe): Recipe => {
  const opset = Math.max(recipe.scheme.opset ?? MIN_OPSET, MIN_OPSET);
  return { ...recipe, scheme: { ...recipe.scheme, opset } };
};

/** Grids that post-training quantization would take: of values from what calibration saw, of weights by their algorithm. */
export async function startingGrids(model: Model, plan: Plan, stats: Stats | undefined): Promise<QatStart> {
  const roots = plan.values.filter(({ sameAs }) => sameAs === undefined);
  const weights = new Map<NodePlan, QParams>();
  for (const entry of plan.nodes) {
    const { weight, scope } = entry;
    if (weight === undefined || scope !== "" || weightLayout(weight) === undefined) continue;
    weights.set(entry, await startParams(model.graph.tensors.get(weight.tensor)!, entry.form, weight));
  }
  return { values: new Map(roots.map((value) => [value.value, gridOf(value, stats)])), weights };
}

/** Where training is: a model with trained weights, and its grids. */
interface Point {
  readonly model: Model;
  readonly grids: QatStart;
}

interface Phase {
  readonly activations: boolean;
  readonly epochs: number;
}

type Lender = Pick<Host, "engine" | "stage" | "threads">;

/** Opens a model for as long as `use` takes. */
async function withSession<T>(
  { engine, stage, threads }: Lender,
  model: Model,
  use: (session: Session) => Promise<T>,
  optimize: "all" | "none" = "all",
): Promise<T> {
  await using staged = await stage(model, "part.onnx", "scratch");
  const session = await engine.open(staged.place, { threads, optimize });
  try {
    return await use(session);
  } finally {
    await session.close();
  }
}

/** Batches as the model sees them: changed by the augmentation, with the teacher's answers. */
function taught(
  training: QatTraining,
  teacher: Session,
  answers: string,
  targets: readonly string[],
  reads: boolean,
): TrainingData {
  const { data, augment, seed } = training;
  let batches = 0;
  return {
    length: data.length,
    async rows(indices) {
      const rows = await data.rows(indices);
      const { labels, ...inputs } = rows;
      const seen = augment === undefined ? inputs : await augment.apply(inputs, augmentRandom(seed, ++batches));
      const outputs = targets.length === 0 ? {} : await teacher.run(seen, [answers]);
      const given = targets.map((name) => [name, outputs[answers]!] as const);
      return { ...seen, ...(reads && labels && { labels }), ...Object.fromEntries(given) };
    },
  };
}

async function trainPhase(
  host: Lender,
  point: Point,
  plan: Plan,
  phase: Phase,
  teacherModel: Model,
  training: QatTraining,
  hooks: Hooks,
) {
  const { loss: spec = { kind: "distillation" } as LossSpec, schedule, batch, seed, clip } = training;
  const fake = insertFakeQuantize(point.model, plan, point.grids, { activations: phase.activations });
  const lossy = withLoss(fake.model, spec);
  const own = parametersOf(point.model.graph);
  const step = trainingStep(lossy.model, {
    loss: lossy.loss,
    parameters: [...own, ...gridParameters(fake)],
    optimizer: training.optimizer ?? adam(),
    group: parameterGroups(fake, { ...training, sizes: await sizesOf(teacherModel, own) }),
    ...(clip !== undefined && { clip }),
  });
  const kinds = lossParts(spec).map(({ loss }) => loss.kind);
  const targets = lossy.targets.filter((_, index) => kinds[index] !== "cross-entropy").map(({ name }) => name);
  const answers = predictionOf(teacherModel.graph, trainedOutput(teacherModel).name, {
    kind: kinds.find((kind) => kind !== "cross-entropy") ?? "mse",
  });
  return withSession(host, withTaps(teacherModel, [answers]), async (teacher) => {
    const data = taught(training, teacher, answers, targets, kinds.includes("cross-entropy"));
    const { state, losses } = await train(host, { step, data, epochs: phase.epochs, batch, schedule, seed }, hooks);
    return { point: learnedPoint(point, fake, state), losses };
  });
}

const learnedPoint = ({ model, grids }: Point, fake: FakeQuantized, state: Learned): Point => ({
  model: withLearned(model, state),
  grids: learnedGrids(fake, state, grids),
});

/** The model in floats with all that is quantized on its grid, in plain ops. */
export const fakeModel = ({ model, grids }: Point, plan: Plan, activations = true): Model =>
  expand(insertFakeQuantize(model, plan, grids, { activations, learn: false }).model, TRAINING_OPS);

const firstStats = async (host: Host, model: Model, plan: Plan, samples: Dataset, options: CalibrateOptions) =>
  observedValues(plan).length === 0 ? undefined : calibratePlan(host, model, plan, samples, options);

/** Grids of activations from what they are with quantized weights. */
async function recalibrated(host: Host, point: Point, plan: Plan, samples: Dataset, hooks: Hooks): Promise<Point> {
  const stats = await calibratePlan(host, fakeModel(point, plan, false), plan, samples, { hooks });
  const { values } = await startingGrids(point.model, { ...plan, nodes: [] }, stats);
  return { ...point, grids: { ...point.grids, values } };
}

function phasesOf({ epochs, weightsFirst = 0 }: QatTraining, plan: Plan): readonly Phase[] {
  const first = plan.values.length === 0 ? 0 : Math.round(epochs * weightsFirst);
  const both: readonly Phase[] = [
    { activations: false, epochs: first },
    { activations: true, epochs: epochs - first },
  ];
  return both.filter((phase) => phase.epochs > 0);
}

/** Classes that two models choose on the same samples. */
async function comparedClasses(host: Lender, fake: Model, deployed: Staged, evaluation: Evaluation) {
  const other = await host.engine.open(deployed.place, { threads: host.threads });
  try {
    // the engine would otherwise make integer kernels of fake quantization, and compare the deployed model with itself
    return await withSession(host, fake, (session) => tally(session, other, evaluation), "none");
  } finally {
    await other.close();
  }
}

async function tally(fake: Session, deployed: Session, { data, labels }: Evaluation) {
  let [agreement, right]: [Hits, number] = [noHits, 0];
  let at = 0;
  const name = fake.outputs[0]!.name;
  for await (const feeds of data.batches(batchSize(fake.inputs))) {
    const [a, b] = [(await fake.run(feeds))[name]!, (await deployed.run(feeds))[name]!];
    if (a.shape.length !== 2) return {};
    const scores = floatsOf(a.data, a.dtype);
    agreement = addAgreement(agreement, scores, floatsOf(b.data, b.dtype), a.shape[1]!);
    for (const best of bestOf(a, scores)) right += best === labels?.[at++] ? 1 : 0;
  }
  return { fakeAgreement: share(agreement), ...(labels && { fakeTop1: right / at }) };
}

const bestOf = ({ shape }: NDArray, scores: Float32Array): readonly number[] =>
  Array.from({ length: shape[0]! }, (_, row) => {
    const own = scores.subarray(row * shape[1]!, (row + 1) * shape[1]!);
    return own.indexOf(Math.max(...own));
  });

/** All steps: prepare, plan, calibrate, train, quantize, verify. The caller disposes what was staged, or puts it in its place. */
export async function qat(host: Host, input: QatInput, hooks: Hooks = noHooks): Promise<QatMade> {
  const { training, calibration, evaluation } = input;
  const { prepared, plan } = await planFor(input.model, withOpset(input.recipe), host, evaluation.data);
  await refuseBadWeights(prepared);
  const samples =
    calibration ?? fail("usage", "quantization-aware training needs samples to find first ranges; give them");
  const stats = input.stats ?? (await firstStats(host, prepared, plan, samples, { model: input.digest, hooks }));
  let point: Point = { model: prepared, grids: await startingGrids(prepared, plan, stats) };
  const losses: Float32Array[] = [];
  for (const [index, phase] of phasesOf(training, plan).entries()) {
    stopIfAborted(hooks.signal);
    if (index > 0) point = await recalibrated(host, point, plan, samples, hooks);
    const trained = await trainPhase(host, point, plan, phase, prepared, training, hooks);
    point = trained.point;
    losses.push(trained.losses);
  }
  return deploy(host, input, { point, plan, stats, losses }, hooks);
}

interface Deployable {
  readonly point: Point;
  readonly plan: Plan;
  readonly stats: Stats | undefined;
  readonly losses: readonly Float32Array[];
}

/** Steps 5 and 6: the learned plan in its real form, run and compared. */
async function deploy(
  host: Host,
  input: QatInput,
  { point, plan, stats, losses }: Deployable,
  hooks: Hooks,
): Promise<QatMade> {
  const learned = planWith(plan, point.grids);
  const quantized = await quantize(point.model, learned, stats);
  const staged = await host.stage(quantized.model, input.name, "output");
  try {
    const { reference, evaluation, random } = input;
    const made = {
      plan: learned,
      prepared: point.model,
      model: quantized.model,
      findings: quantized.findings,
      ...(stats ? { stats } : {}),
    };
    const verified = await verify(host, { reference, candidate: staged, evaluation, random, made }, hooks);
    const fake = await comparedClasses(host, fakeModel(point, plan), staged, evaluation);
    const all = Float32Array.from(losses.flatMap((part) => [...part]));
    return { staged, plan: learned, verified, ...(stats ? { stats } : {}), losses: all, ...fake };
  } catch (error) {
    await staged[Symbol.asyncDispose]();
    throw error;
  }
}

export type { Feeds };
