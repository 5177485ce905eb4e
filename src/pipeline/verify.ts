/**
 * Step 6: opens and runs both models on the engine that will run them, and says what was found. Nothing is promised that
 * was not measured.
 */
import type { Dataset } from "../containers/data.ts";
import { type Engine, type ModelPlace, ownFeeds, type Session } from "../engines/contract.ts";
import { computeShare } from "../engines/histogram.ts";
import type { Feeds, Model } from "../ir/model.ts";
import type { Plan } from "../ir/plan.ts";
import type { Stats } from "../ir/stats.ts";
import { FewbitError, fail } from "../numeric/errors.ts";
import type { Host, Staged } from "./host.ts";
import type { Hooks } from "./progress.ts";
import { type Candidate, type Finding, ratioOf } from "./result.ts";
import { compareCommonLayers } from "./verify/common-layers.ts";
import { judge } from "./verify/findings.ts";
import { compareLayers } from "./verify/layers.ts";
import { compareOutputs, type Evaluation } from "./verify/outputs.ts";
import { measureLatency, measureMemory, type OpenFile } from "./verify/speed.ts";

/** A model file as the user has it, and the samples both models are run on. */
export interface Reference {
  readonly name: string;
  readonly place: ModelPlace;
  readonly size: number;
}

/** Two models and the samples to compare them on. */
export interface VerifyInput {
  readonly reference: Reference;
  readonly candidate: Staged;
  readonly evaluation: Evaluation;
  /** The samples are made up: distances then say nothing about accuracy. */
  readonly random: boolean;
  /** Present when fewbit made the candidate: what was planned, and the models before and after it. */
  readonly made?: {
    readonly plan: Plan;
    readonly prepared: Model;
    readonly model: Model;
    readonly stats?: Stats;
    readonly findings: readonly Finding[];
  };
  /** Both models, to compare value by value, where neither was made here. */
  readonly layers?: { readonly before: Model; readonly after: Model };
  /** What runs the candidate; the host's engine unless told. */
  readonly candidateEngine?: Engine;
}

/** Everything of a candidate that comes from running it. */
export type Verified = Omit<Candidate, "scheme" | "output" | "files" | "contract" | "seconds">;

/** Runs both models: outputs, metrics, speed, memory, optimized ops, error by layer, and what follows from it. */
export async function verify(host: Host, input: VerifyInput, hooks: Hooks): Promise<Verified> {
  const { reference, candidate } = input;
  const { session: before, refused } = await openReference(host, reference.place);
  try {
    const after = await engineOf(host, input).open(candidate.place, { threads: host.threads });
    try {
      return await runBoth(host, input, { before, after, refused }, hooks);
    } finally {
      await after.close();
    }
  } finally {
    await before.close();
  }
}

const engineOf = ({ engine }: Host, { candidateEngine }: VerifyInput): Engine => candidateEngine ?? engine;

/** Both models, open; `refused` says why the original runs without the engine's optimizations. */
interface Sessions {
  readonly before: Session;
  readonly after: Session;
  readonly refused: string | undefined;
}

/** Some exports (PyTorch's scales of shape [1]) open only without the engine's optimizations: better than not at all. */
async function openReference({ engine, threads }: Host, place: ModelPlace) {
  try {
    return { session: await engine.open(place, { threads }), refused: undefined };
  } catch (error) {
    if (!(error instanceof FewbitError) || error.code !== "engine") throw error;
    const plain = await engine.open(place, { threads, optimize: "none" }).catch(() => undefined);
    if (plain === undefined) throw error;
    return { session: plain, refused: error.message };
  }
}

const refusedFinding = (message: string): Finding => ({
  severity: "warning",
  code: "reference-unoptimized",
  message: `the original opens only without the engine's optimizations, so it was compared and timed without them (${message})`,
  remedy: "judge the speed by another export of the original",
});

async function runBoth(
  host: Host,
  input: VerifyInput,
  { before, after, refused }: Sessions,
  hooks: Hooks,
): Promise<Verified> {
  const { reference, candidate, evaluation, made, random } = input;
  if (random) await tryMadeUp(before, evaluation.data);
  const outputs = await compareOutputs(before, after, evaluation, hooks);
  const own = evaluation.evaluate && (await userMetric(evaluation.evaluate, before, after, reference.name));
  const sample = await oneSample(evaluation.data);
  const latency = await measureLatency(host, before, after, sample, hooks);
  const files = [
    { place: reference.place, session: before },
    { place: candidate.place, session: after },
  ] as const;
  const memory = refused === undefined ? await measureMemory(host, ...files, sample) : undefined;
  const opHistogram = await histograms(host, input, files, sample, refused !== undefined);
  const layers = random || outputs.broken.length > 0 ? [] : await layersOf(host, input, hooks);
  const share = opHistogram && computeShare(opHistogram.after);
  const measured = {
    size: ratioOf(reference.size, candidate.size),
    latency,
    ...(memory ? { memory } : {}),
    outputs: outputs.outputs,
    metrics: { ...(own ? { eval: own } : {}), ...outputs.metrics },
    ...(outputs.agreement === undefined ? {} : { agreement: outputs.agreement }),
    ...(share ? { integerShare: share.share } : {}),
    ...(opHistogram ? { opHistogram } : {}),
    kept: made?.plan.kept ?? [],
    layers,
    notes: made?.plan.notes ?? [],
  };
  const findings = judge({ ...measured, broken: outputs.broken, random, engine: host.engine.name, plan: made?.plan });
  const about = refused === undefined ? [] : [refusedFinding(refused)];
  return { ...measured, findings: [...(made?.findings ?? []), ...about, ...findings] };
}

async function layersOf(host: Host, input: VerifyInput, hooks: Hooks): Promise<Verified["layers"]> {
  const { made, layers, evaluation } = input;
  if (made) return compareLayers(host, made.prepared, made.model, made.plan, made.stats, evaluation.data, hooks);
  if (layers === undefined) return [];
  const engines = [host.engine, engineOf(host, input)] as const;
  return compareCommonLayers(host, [layers.before, layers.after], engines, evaluation.data, hooks);
}

/** Made-up inputs may be nonsense to a model (lengths that must agree, indices); the user's own then have to do. */
async function tryMadeUp(original: Session, data: Dataset): Promise<void> {
  try {
    await original.run(await oneSample(data));
  } catch (error) {
    if (!(error instanceof FewbitError)) throw error;
    fail("usage", `the original does not run on made-up inputs (${error.message}); give real ones with --data`, error);
  }
}

async function oneSample(data: Dataset): Promise<Feeds> {
  for await (const feeds of data.batches(1)) return feeds;
  return {};
}

async function histograms(
  host: Host,
  input: VerifyInput,
  [original, made]: readonly [OpenFile, OpenFile],
  sample: Feeds,
  refused: boolean,
) {
  const before = refused ? {} : await host.engine.opHistogram(original.place, ownFeeds(original.session, sample));
  const after = await engineOf(host, input).opHistogram(made.place, ownFeeds(made.session, sample));
  return before && after ? { before, after } : undefined;
}

async function userMetric(
  evaluate: NonNullable<Evaluation["evaluate"]>,
  before: Session,
  after: Session,
  model: string,
) {
  const of = async (session: Session): Promise<number> =>
    checkedScore(await evaluate({ run: (feeds) => session.run(feeds), model }));
  try {
    return { before: await of(before), after: await of(after), higherIsBetter: true, unit: "number" } as const;
  } catch (error) {
    const code = error instanceof FewbitError ? error.code : "data";
    return fail(code, `--eval: ${error instanceof Error ? error.message : String(error)}`, error);
  }
}

const checkedScore = (score: unknown): number =>
  typeof score === "number" && Number.isFinite(score)
    ? score
    : fail(
        "data",
        `expected a number from the metric, found ${typeof score === "string" ? `"${score}"` : String(score)}`,
      );
