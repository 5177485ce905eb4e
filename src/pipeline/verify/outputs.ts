/** What the outputs of two models are worth: distances, agreement, task metrics. Runs both on the same samples. */
import type { Dataset } from "../../containers/data.ts";
import type { Session } from "../../engines/contract.ts";
import type { NDArray, ValueInfo } from "../../ir/model.ts";
import { floatsOf } from "../../numeric/convert.ts";
import { DTYPES } from "../../numeric/dtypes.ts";
import { fail } from "../../numeric/errors.ts";
import {
  addAgreement,
  addErrors,
  addTopK,
  cosine,
  type ErrorSums,
  type Hits,
  mse,
  noErrors,
  noHits,
  share,
  sqnr,
} from "../../numeric/metrics.ts";
import { type Hooks, stopIfAborted } from "../progress.ts";
import type { Metric, OutputError } from "../result.ts";

/** Runs a model on feeds; what the user's own metric gets. */
export type Run = (feeds: Readonly<Record<string, NDArray>>) => Promise<Readonly<Record<string, NDArray>>>;

/** The user's own metric, from `--eval`; higher is better. */
export type EvalFunction = (context: { readonly run: Run; readonly model: string }) => Promise<number> | number;

/** Samples to compare on, and how to judge. */
export interface Evaluation {
  readonly data: Dataset;
  /** One class index per sample. */
  readonly labels?: ArrayLike<number>;
  /** Names asked for; empty = what fits the data. */
  readonly metrics: readonly string[];
  readonly evaluate?: EvalFunction;
}

/** What comparing the outputs gave. */
export interface OutputFindings {
  readonly outputs: readonly OutputError[];
  readonly metrics: Readonly<Record<string, Metric>>;
  readonly agreement?: number;
  /** Outputs with values that are not numbers where the original's are. */
  readonly broken: readonly string[];
  readonly samples: number;
}

/** Task metrics by name: which need labels, and what they say in `--help`. */
export const METRICS: Readonly<Record<string, { readonly labels: boolean; readonly summary: string }>> = {
  top1: { labels: true, summary: "share of samples whose highest score is the label's" },
  top5: { labels: true, summary: "share of samples with the label among the five highest scores" },
  agreement: { labels: false, summary: "share of samples where both models rank the same class first" },
  mse: { labels: false, summary: "mean squared difference of the first output from the original's" },
  cosine: { labels: false, summary: "cosine between the first outputs of both models" },
};

interface Tally {
  readonly errors: Map<string, ErrorSums>;
  samples: number;
  agreement: Hits;
  readonly hits: Record<"before1" | "after1" | "before5" | "after5", Hits>;
}

const BATCH = 32;

/** dB where the ratio itself is minus infinity. */
const WORST_SQNR = -100;

const sum = (text: Tally["errors"], name: string): ErrorSums => text.get(name) ?? noErrors;

/** Numbers of an array; outputs that are not numbers (strings) are left out by the caller. */
const numbers = (array: NDArray): Float32Array => floatsOf(array.data, array.dtype);

const isNumeric = (array: NDArray | undefined): array is NDArray =>
  array !== undefined && ["float", "int", "uint", "bool"].includes(DTYPES[array.dtype].kind);

/** A fixed first dimension says how many samples a run takes. */
export const batchSize = (inputs: readonly ValueInfo[], wish = BATCH): number => {
  const fixed = inputs
    .map(({ shape }) => shape?.[0])
    .filter((dim): dim is number => typeof dim === "number" && dim > 0);
  return fixed.length === 0 ? wish : Math.min(...fixed);
};

/** Folds all samples through both sessions. */
export async function compareOutputs(
  before: Session,
  after: Session,
  evaluation: Evaluation,
  { progress, signal }: Hooks,
): Promise<OutputFindings> {
  const tally: Tally = {
    errors: new Map(),
    samples: 0,
    agreement: noHits,
    hits: { before1: noHits, after1: noHits, before5: noHits, after5: noHits },
  };
  const step = progress.step("comparing outputs", evaluation.data.length);
  for await (const feeds of evaluation.data.batches(batchSize(before.inputs))) {
    stopIfAborted(signal);
    const samples = Object.values(feeds)[0]?.shape[0] ?? 1;
    addBatch(tally, await before.run(feeds), await after.run(feeds), evaluation, samples);
    step.tick(samples);
  }
  step.done(`${tally.samples} samples`);
  return findings(tally, evaluation);
}

function addBatch(
  tally: Tally,
  before: Readonly<Record<string, NDArray>>,
  after: Readonly<Record<string, NDArray>>,
  { labels, metrics }: Evaluation,
  samples: number,
): void {
  const names = Object.keys(before).filter((name) => isNumeric(before[name]));
  for (const name of names) {
    const found =
      after[name] ?? fail("engine", `the new model has no output "${name}"; both models must have the same outputs`);
    tally.errors.set(name, addErrors(sum(tally.errors, name), numbers(before[name]!), numbers(found)));
  }
  const main = names[0];
  const scores = main === undefined ? undefined : before[main];
  const classes = scores?.shape.length === 2 ? scores.shape[1]! : 0;
  if (labels !== undefined && classes < 2) refuseLabels(main, scores);
  if (scores !== undefined && classes > 1 && (labels !== undefined || metrics.includes("agreement")))
    addClasses(tally, numbers(scores), numbers(after[main!]!), labels, classes, samples);
  tally.samples += samples;
}

function refuseLabels(name: string | undefined, scores: NDArray | undefined): never {
  const found = scores === undefined ? "no output in numbers" : `output "${name}" of shape [${scores.shape}]`;
  return fail("data", `labels need a first output of shape [samples, classes], found ${found}; leave --labels out`);
}

function addClasses(
  tally: Tally,
  before: Float32Array,
  after: Float32Array,
  labels: ArrayLike<number> | undefined,
  classes: number,
  samples: number,
): void {
  tally.agreement = addAgreement(tally.agreement, before, after, classes);
  if (labels === undefined) return;
  const own = Array.from({ length: samples }, (_, i) => labels[tally.samples + i] ?? -1);
  const { hits } = tally;
  hits.before1 = addTopK(hits.before1, before, own, classes, 1);
  hits.after1 = addTopK(hits.after1, after, own, classes, 1);
  if (classes <= 5) return;
  hits.before5 = addTopK(hits.before5, before, own, classes, 5);
  hits.after5 = addTopK(hits.after5, after, own, classes, 5);
}

/** null = equal to the last bit; a reference of zeros has no ratio, the lowest one stands for it. */
export const decibels = (value: number): number | null =>
  value === Number.POSITIVE_INFINITY ? null : Math.max(value, WORST_SQNR);
const shares = (before: Hits, after: Hits): Metric => ({
  before: share(before),
  after: share(after),
  higherIsBetter: true,
  unit: "share",
});

function findings(tally: Tally, { metrics }: Evaluation): OutputFindings {
  const { errors, hits, agreement } = tally;
  const main = [...errors.values()][0] ?? noErrors;
  const found: Record<string, Metric> = {};
  if (hits.before1.count > 0) found.top1 = shares(hits.before1, hits.after1);
  if (hits.before5.count > 0) found.top5 = shares(hits.before5, hits.after5);
  if (metrics.includes("mse")) found.mse = { before: 0, after: mse(main), higherIsBetter: false, unit: "number" };
  if (metrics.includes("cosine"))
    found.cosine = { before: 1, after: cosine(main), higherIsBetter: true, unit: "number" };
  return {
    outputs: [...errors].map(([name, sums]) => ({
      name,
      sqnr: decibels(sqnr(sums)),
      cosine: cosine(sums),
      maxAbs: sums.maxAbs,
    })),
    metrics: found,
    ...(agreement.count > 0 ? { agreement: share(agreement) } : {}),
    broken: [...errors].filter(([, sums]) => sums.badCandidate > 0).map(([name]) => name),
    samples: tally.samples,
  };
}
