/**
 * From one container to another: converts, runs both models, each on the engine of its container, on the same samples,
 * and says how far the outputs are apart. What differs by more than float rounding is a broken promise.
 */
import type { Dataset } from "../containers/data.ts";
import { type Converted, tfliteToOnnx } from "../conversion/index.ts";
import type { Engine, ModelPlace, Session } from "../engines/contract.ts";
import type { Feeds, Model, NDArray } from "../ir/model.ts";
import { floatsOf } from "../numeric/convert.ts";
import { DTYPES } from "../numeric/dtypes.ts";
import { FewbitError, fail } from "../numeric/errors.ts";
import { addErrors, type ErrorSums, noErrors, sqnr } from "../numeric/metrics.ts";
import type { Host, Staged } from "./host.ts";
import { type Hooks, stopIfAborted } from "./progress.ts";
import type { ConvertedOutput, Finding } from "./result.ts";
import { batchSize, decibels } from "./verify/outputs.ts";

/**
 * dB that outputs in float must reach. float32 carries 24 bits, which is 144 dB; sums in another order and other
 * formulas for exp left 110 to 128 dB in the models of MLPerf Tiny; a wrong padding or order of axes leaves next to none.
 */
export const LEAST_SQNR = 80;
/** Share of whole numbers that may differ: places of the largest of two values that rounding can't tell apart. */
export const MOST_DIFFERING = 0.001;

/** A model to convert, where it is, and the samples both are run on. */
export interface ConvertInput {
  readonly model: Model;
  readonly place: ModelPlace;
  /** Runs the original. */
  readonly engine: Engine;
  /** File name of the result. */
  readonly name: string;
  /** Opens the samples for the inputs of the converted model, whose batch may be open. */
  readonly samples: (model: Model) => Promise<{ readonly data: Dataset; readonly random: boolean }>;
}

/** A converted model at its temporary place, and what running it found. */
export interface ConvertMade {
  readonly staged: Staged;
  readonly converted: Converted;
  readonly outputs: readonly ConvertedOutput[];
  readonly samples: { readonly data: Dataset; readonly random: boolean };
  readonly findings: readonly Finding[];
}

/** Only this way so far. */
function toOnnx(model: Model): Promise<Converted> {
  if (model.container !== "tflite")
    fail("unsupported", `convert turns TFLite models into ONNX; this model is in the container ${model.container}`);
  return tfliteToOnnx(model);
}

/** Converts and runs both; `host` runs the result. A finding of severity "error" means that it must not be handed over. */
export async function convert(host: Host, input: ConvertInput, hooks: Hooks): Promise<ConvertMade> {
  const converted = await toOnnx(input.model);
  const samples = await input.samples(converted.model);
  const staged = await host.stage(converted.model, input.name, "output");
  try {
    const outputs = await runBoth(host, input, staged.place, samples.data, hooks);
    return { staged, converted, outputs, samples, findings: judge(converted, outputs, samples) };
  } catch (error) {
    await staged[Symbol.asyncDispose]();
    throw error;
  }
}

async function runBoth(host: Host, input: ConvertInput, place: ModelPlace, data: Dataset, hooks: Hooks) {
  const before = await input.engine.open(input.place, { threads: host.threads });
  try {
    const after = await host.engine.open(place, { threads: host.threads });
    try {
      return await compare(before, after, data, hooks);
    } finally {
      await after.close();
    }
  } finally {
    await before.close();
  }
}

/** What was seen of one output. */
interface Tally {
  readonly errors: ErrorSums;
  readonly whole: boolean;
  readonly differing: number;
}

/** The converted model runs whole batches where it can, so that samples that mix are seen. */
async function compare(
  before: Session,
  after: Session,
  data: Dataset,
  { progress, signal }: Hooks,
): Promise<readonly ConvertedOutput[]> {
  const tallies = new Map<string, Tally>();
  const step = progress.step("comparing outputs", data.length);
  for await (const feeds of data.batches(batchSize(after.inputs))) {
    stopIfAborted(signal);
    const expected = await original(before, feeds, data.random === true);
    addBatch(tallies, expected, await after.run(feeds));
    step.tick(Object.values(feeds)[0]?.shape[0] ?? 1);
  }
  step.done();
  if (tallies.size === 0) fail("data", "no samples to run both models on; give some with --data");
  return [...tallies].map(([name, tally]) => summary(name, tally));
}

/** Made-up inputs may be nonsense to a model, such as positions outside of a table. */
async function original(session: Session, feeds: Feeds, random: boolean) {
  try {
    return await session.run(feeds);
  } catch (error) {
    if (!random || !(error instanceof FewbitError)) throw error;
    return fail("usage", `the original does not run on made-up inputs (${error.message}); give real ones with --data`);
  }
}

function addBatch(
  tallies: Map<string, Tally>,
  before: Readonly<Record<string, NDArray>>,
  after: Readonly<Record<string, NDArray>>,
): void {
  for (const [name, expected] of Object.entries(before)) {
    const found = after[name] ?? fail("engine", `the converted model has no output "${name}"`);
    if (found.dtype !== expected.dtype || `${found.shape}` !== `${expected.shape}`)
      fail(
        "engine",
        `output "${name}" is ${found.dtype}[${found.shape}] in the converted model and ${expected.dtype}[${expected.shape}] in the original; keep the original`,
      );
    tallies.set(name, added(tallies.get(name), expected, found));
  }
}

function added(tally: Tally | undefined, expected: NDArray, found: NDArray): Tally {
  const [a, b] = [floatsOf(expected.data, expected.dtype), floatsOf(found.data, found.dtype)];
  let differing = tally?.differing ?? 0;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) differing++;
  return {
    errors: addErrors(tally?.errors ?? noErrors, a, b),
    whole: DTYPES[expected.dtype].kind !== "float",
    differing,
  };
}

function summary(name: string, { errors, whole, differing }: Tally): ConvertedOutput {
  const elements = errors.count + errors.badReference + errors.badCandidate;
  const ratio = errors.badCandidate > 0 ? Number.NEGATIVE_INFINITY : sqnr(errors);
  return {
    name,
    sqnr: decibels(ratio),
    maxAbs: errors.maxAbs,
    largest: errors.maxReference,
    ...(whole && { differing: elements === 0 ? 0 : differing / elements }),
  };
}

const agrees = ({ sqnr: db, differing }: ConvertedOutput): boolean =>
  differing === undefined ? db === null || db >= LEAST_SQNR : differing <= MOST_DIFFERING;

const distance = ({ sqnr: db, differing, maxAbs }: ConvertedOutput): string =>
  differing === undefined
    ? `${db?.toFixed(1)} dB, expected ${LEAST_SQNR} or more; largest difference ${maxAbs.toPrecision(3)}`
    : `${(100 * differing).toPrecision(3)} % of the elements, expected ${100 * MOST_DIFFERING} at most`;

function judge(
  { fixedBatch }: Converted,
  outputs: readonly ConvertedOutput[],
  { random }: { readonly random: boolean },
): readonly Finding[] {
  const differs = outputs
    .filter((output) => !agrees(output))
    .map(
      (output): Finding => ({
        severity: "error",
        code: "differs",
        message: `output "${output.name}" differs from the original's by more than float rounding (${distance(output)})`,
        remedy: "keep the original, and report the model",
      }),
    );
  const batch: Finding = {
    severity: "warning",
    code: "fixed-batch",
    message: `the batch stays as it is: ${fixedBatch}`,
    remedy: "export the model with an open batch to train it or to run several samples at once",
  };
  const madeUp: Finding = {
    severity: "info",
    code: "made-up-samples",
    message: "both models were compared on made-up inputs",
    remedy: "give real ones with --data",
  };
  return [...differs, ...(fixedBatch === undefined ? [] : [batch]), ...(random ? [madeUp] : [])];
}

/** The first reason why a converted model is not handed over. */
export const brokenConversion = ({ findings }: Pick<ConvertMade, "findings">): Finding | undefined =>
  findings.find(({ severity }) => severity === "error");
