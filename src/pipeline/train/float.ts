/** Fine-tuning in floats: the model keeps its form, its weights learn from samples, and what came of it is measured. */
import type { Feeds, Model } from "../../ir/model.ts";
import { fail } from "../../numeric/errors.ts";
import { type LossSpec, withLoss } from "../../train/losses.ts";
import { normalizeForTraining, withoutFunctions } from "../../train/normalize.ts";
import { adam } from "../../train/optimizers.ts";
import { withLearned } from "../../train/qat/learned.ts";
import { parametersOf } from "../../train/qat/parameters.ts";
import { trainingStep } from "../../train/step.ts";
import { refuseBadWeights } from "../bad-weights.ts";
import type { Host, Staged } from "../host.ts";
import type { MakeInput } from "../make.ts";
import { forBatches } from "../open-batch.ts";
import { prepare } from "../prepare.ts";
import { type Hooks, noHooks } from "../progress.ts";
import type { Finding } from "../result.ts";
import { runOnce } from "../run-model.ts";
import { type Verified, verify } from "../verify.ts";
import { shownIn, type TrainHost, type Training, type TrainOptions, type TrainRun } from "./run.ts";
import { teacherFor } from "./teacher.ts";
import { trainableForm, withTrained } from "./tflite-form.ts";
import { train } from "./train.ts";

/** How the model is trained. */
export interface FloatTraining extends Training {
  readonly loss: LossSpec;
  /** Parameters that stay as they are. */
  readonly freeze?: (parameter: string) => boolean;
  /** Steps in one run of the engine. */
  readonly unroll?: number;
}

/** A model, how to train it, and what to judge the result on. */
export interface FloatInput extends Pick<MakeInput, "model" | "reference" | "name" | "evaluation" | "random"> {
  readonly training: FloatTraining;
}

/** A trained model that was run, still at its temporary place. */
export interface FloatMade {
  readonly staged: Staged;
  readonly verified: Verified;
  /** Loss of every step. */
  readonly losses: Float32Array;
}

/** What is written afterwards is of this operator set at least; the training graph is raised further. */
const MIN_OPSET = 17;

/** The model as it can be trained: functions inlined, batch normalizations folded into weights. */
export async function preparedForTraining(host: Pick<Host, "engine" | "stage">, model: Model): Promise<Model> {
  const context = { evaluate: (part: Model, feeds: Feeds) => runOnce(host, part, feeds) };
  const { model: prepared } = await prepare(await withoutFunctions(model), context, { opset: MIN_OPSET });
  await refuseBadWeights(prepared);
  return prepared;
}

function trainedParameters({ graph }: Model, freeze: FloatTraining["freeze"]): readonly string[] {
  const all = parametersOf(graph);
  if (all.length === 0)
    fail(
      "unsupported",
      "training: the model holds no float32 weights; a model of float16 or integers must be trained before it is converted",
    );
  const left = freeze ? all.filter((name) => !freeze(name)) : all;
  return left.length > 0 ? left : fail("usage", "training: every parameter is frozen; nothing would change");
}

/** The run that trains a prepared model. */
export async function floatRun(prepared: Model, training: FloatTraining): Promise<TrainRun> {
  const { loss: spec, output, optimizer = adam(), clip, decay = 0, freeze, unroll } = training;
  const lossy = withLoss(await normalizeForTraining(prepared), spec, output);
  const { tensors } = prepared.graph;
  const step = trainingStep(lossy.model, {
    ...{ loss: lossy.loss, optimizer, parameters: trainedParameters(prepared, freeze) },
    group: (name) => ({ decay: (tensors.get(name)?.shape.length ?? 0) > 1 ? decay : 0 }),
    ...(clip !== undefined && { clip }),
  });
  const teacher = teacherFor(prepared, spec, lossy, output);
  return {
    ...shownIn(training),
    step,
    ...(teacher && { teacher }),
    ...(unroll !== undefined && { unroll }),
  };
}

/** Rules about a smaller stand-in for the original; this model is meant to differ from it. */
const NOT_MEANT = new Set(["far-off", "no-gain", "grew", "slower", "low-agreement"]);

const meant = (findings: readonly Finding[]): readonly Finding[] => findings.filter(({ code }) => !NOT_MEANT.has(code));

/** Runs a trained model, and answers what was found. */
async function judged(host: Host, model: Model, input: FloatInput, losses: Float32Array, hooks: Hooks) {
  const staged = await host.stage(model, input.name, "output");
  try {
    const { reference, evaluation, random } = input;
    const verified = await verify(host, { reference, candidate: staged, evaluation, random }, hooks);
    return { staged, verified: { ...verified, findings: meant(verified.findings) }, losses };
  } catch (error) {
    await staged[Symbol.asyncDispose]();
    throw error;
  }
}

/** Prepare, train, verify. The caller disposes what was staged, or puts it in its place. */
export async function trainFloat(
  host: Host & TrainHost,
  input: FloatInput,
  hooks: Hooks = noHooks,
  options: TrainOptions = {},
): Promise<FloatMade> {
  const prepared = await preparedForTraining(host, input.model);
  const learning = await forBatches(host, prepared, input.training.batch, input.training.data);
  const { state, losses } = await train(host, await floatRun(learning, input.training), hooks, options);
  return judged(host, withLearned(prepared, state), input, losses, hooks);
}

/** The same for a TFLite model, which `host` runs and which is trained in ONNX by `trainer`. */
export async function trainFloatTflite(
  host: Host,
  trainer: TrainHost,
  input: FloatInput,
  hooks: Hooks = noHooks,
  options: TrainOptions = {},
): Promise<FloatMade> {
  await refuseBadWeights(input.model);
  const converted = await trainableForm(input.model);
  const { state, losses } = await train(trainer, await floatRun(converted.model, input.training), hooks, options);
  const trained = withTrained(input.model, converted, withLearned(converted.model, state));
  return judged(host, trained, input, losses, hooks);
}
