/**
 * One model made from another, by the steps in their order: prepare, plan, calibrate, correct, quantize, verify. Reading comes
 * before and writing after: the host knows files.
 */
import type { Dataset } from "../containers/data.ts";
import { withTaps } from "../engines/taps.ts";
import type { Model } from "../ir/model.ts";
import type { Plan } from "../ir/plan.ts";
import { isCoarse } from "../ir/scheme.ts";
import type { Stats } from "../ir/stats.ts";
import { fail } from "../numeric/errors.ts";
import { type ValueType, weightConstants } from "../passes/index.ts";
import type { Recipe } from "../recipes/recipe.ts";
import { schemeNamed } from "../recipes/schemes.ts";
import { refuseBadWeights } from "./bad-weights.ts";
import { type CalibrateOptions, calibrate } from "./calibrate.ts";
import { withConstantRanges } from "./constant-ranges.ts";
import { correct } from "./correct.ts";
import type { Host, Staged } from "./host.ts";
import { planModel } from "./plan.ts";
import { observedIn } from "./plan-static.ts";
import { type PrepareOptions, prepare } from "./prepare.ts";
import { type Hooks, stopIfAborted } from "./progress.ts";
import { quantize } from "./quantize.ts";
import type { Finding } from "./result.ts";
import { runOnce } from "./run-model.ts";
import { valueTypes } from "./shapes.ts";
import type { Evaluation } from "./verify/outputs.ts";
import { type Reference, type Verified, verify } from "./verify.ts";

/** One model, one recipe, and the samples to make and judge with. */
export interface MakeInput {
  readonly model: Model;
  /** SHA-256 of the model file, hexadecimal. */
  readonly digest: string;
  readonly reference: Reference;
  readonly recipe: Recipe;
  /** File name of the result. */
  readonly name: string;
  readonly calibration?: Dataset;
  /** From an earlier calibration of the same model; makes `calibration` unnecessary. */
  readonly stats?: Stats;
  readonly evaluation: Evaluation;
  /** The evaluation's samples are made up. */
  readonly random: boolean;
}

/** A model that was run, still at its temporary place. */
export interface Made {
  readonly staged: Staged;
  readonly plan: Plan;
  readonly verified: Verified;
  readonly stats?: Stats;
}

/** A model after its passes, and what was decided for it. */
export interface Planned {
  readonly prepared: Model;
  readonly plan: Plan;
}

type Lender = Pick<Host, "engine" | "stage">;

/** Steps 2 and 3: what would become what. `data` lends one sample, to learn the types that the model does not state. */
export async function planFor(model: Model, recipe: Recipe, host: Lender, data?: Dataset): Promise<Planned> {
  const { scheme } = recipe;
  const needs = needsOf(model, recipe);
  if (scheme.suffix !== undefined) {
    const prepared = await weightConstants.apply(model, {});
    return { prepared, plan: planModel(prepared, recipe) };
  }
  const { model: prepared, log } = await prepare(
    model,
    { evaluate: (part, feeds) => runOnce(host, part, feeds) },
    {
      ...needs,
      ...(data === undefined ? {} : { typesOf: (current: Model) => productTypes(current, host, data) }),
    },
  );
  const plan = await withConstantRanges(planModel(prepared, recipe), prepared);
  return {
    prepared,
    plan: { ...plan, notes: [...log.map(({ pass, change }) => `${pass}: ${change}`), ...plan.notes] },
  };
}

const OF_IMAGES: ReadonlySet<string> = new Set([
  "AveragePool",
  "GlobalAveragePool",
  "ReduceMean",
  "BatchNormalization",
]);

/** What the schemes of a recipe need, those of its rules included. */
function needsOf({ container }: Model, { scheme, rules }: Recipe): Omit<PrepareOptions, "typesOf"> {
  const ruled = rules.filter((rule) => rule.scheme !== "keep").map((rule) => schemeNamed(rule.scheme, container));
  const all = [scheme, ...ruled];
  const opset = Math.max(...all.map((needed) => needed.opset ?? 0));
  const grids = all.flatMap((needed) => needed.static?.activations ?? []);
  return {
    grids: scheme.float16 === undefined,
    static: grids.length > 0,
    clamping: grids.every(({ symmetric }) => !symmetric),
    fewCodes: grids.some(isCoarse),
    ...(opset === 0 ? {} : { opset }),
  };
}

/**
 * Types of what MatMul, averages and batch normalizations read: a product of matrices takes another form than one of stacks,
 * averages and normalizations of images become convolutions of as many channels, or change places with the product behind.
 */
async function productTypes(model: Model, host: Lender, data: Dataset): Promise<ReadonlyMap<string, ValueType>> {
  const asking = model.graph.nodes.filter(
    ({ op, inputs }) => OF_IMAGES.has(op) || (op === "MatMul" && model.graph.tensors.has(inputs[1]!)),
  );
  const names = asking.map(({ inputs }) => inputs[0]!);
  return valueTypes(model, names, async (tapped) => {
    for await (const feeds of data.batches(1)) return runOnce(host, tapped, feeds);
    return {};
  });
}

/** All steps. The caller disposes what was staged, or puts it in its place. */
export async function make(host: Host, input: MakeInput, hooks: Hooks): Promise<Made> {
  const step = hooks.progress.step(`planning ${input.recipe.scheme.name}`);
  const onlyGiven = input.calibration === undefined && input.stats === undefined;
  const { prepared, plan: first } = await planFor(
    input.model,
    { ...input.recipe, onlyGiven },
    host,
    input.evaluation.data,
  );
  step.done(`${first.nodes.length} nodes`);
  await refuseBadWeights(prepared);
  const stats = await statistics(host, input, prepared, first, hooks);
  stopIfAborted(hooks.signal);
  const { model, plan } = await correct(host, { model: prepared, plan: first }, stats, input.calibration, hooks);
  const quantized = await quantize(model, plan, stats);
  const writing = hooks.progress.step(`quantizing to ${input.recipe.scheme.name}`);
  const staged = await host.stage(quantized.model, input.name, "output");
  writing.done();
  try {
    const made = { plan, prepared, model: quantized.model, findings: quantized.findings, ...(stats ? { stats } : {}) };
    const { reference, evaluation, random } = input;
    const verified = await verify(host, { reference, candidate: staged, evaluation, random, made }, hooks);
    return { staged, plan, verified, ...(stats ? { stats } : {}) };
  } catch (error) {
    await staged[Symbol.asyncDispose]();
    throw error;
  }
}

/** Values of a plan whose range must be observed. */
export const observedValues = (plan: Plan): readonly string[] => observedIn(plan.values);

async function statistics(
  host: Host,
  { calibration, stats, recipe, digest }: MakeInput,
  prepared: Model,
  plan: Plan,
  hooks: Hooks,
): Promise<Stats | undefined> {
  const wanted = observedValues(plan);
  if (wanted.length === 0) return undefined;
  const missing = wanted.filter((name) => stats?.values[name] === undefined);
  if (stats !== undefined && missing.length === 0) return stats;
  if (calibration === undefined) return fail("usage", needsData(recipe, stats, missing));
  return calibratePlan(host, prepared, plan, calibration, { model: digest, hooks });
}

/** Step 4 for a plan: runs the float model it was made for over samples and watches every value that needs a range. */
export async function calibratePlan(
  host: Pick<Host, "engine" | "stage" | "threads">,
  prepared: Model,
  plan: Plan,
  samples: Dataset,
  options: CalibrateOptions = {},
): Promise<Stats> {
  const wanted = observedValues(plan);
  const fed = new Set(prepared.graph.inputs.map(({ name }) => name));
  const taps = wanted.filter((name) => !fed.has(name));
  await using staged = await host.stage(withTaps(prepared, taps), "calibrate.onnx");
  const session = await host.engine.open(staged.place, { threads: host.threads });
  try {
    return await calibrate(session, wanted, samples, options);
  } finally {
    await session.close();
  }
}

const needsData = ({ scheme }: Recipe, stats: Stats | undefined, missing: readonly string[]): string =>
  stats === undefined
    ? `scheme ${scheme.name} needs samples to find the range of ${missing.length} values; give them with -c FILE (.npy, .npz, a folder), or name random data with -c random, or choose w8a8-dynamic, which needs none`
    : `the statistics hold nothing for value "${missing[0]}" and ${missing.length - 1} others; they were made for another model or scheme, calibrate again with -c FILE`;

/** What a promise was broken by, if any: a model that must not be handed over. */
export const brokenPromise = ({ findings }: Verified): Finding | undefined =>
  findings.find(({ severity }) => severity === "error");
