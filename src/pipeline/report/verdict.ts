/** What the numbers of one candidate mean, in words. The rules are here once, for page, terminal and library. */
import type { Candidate, Metric, QuantizeReport, Ratio } from "../result.ts";
import { cosine, decibels, list, metricValue, times } from "./format.ts";

/** Below these, a difference is measurement noise or no reason to change anything. */
const NOTICEABLE = 1.05;
/** One percent point of accuracy, and the agreement and cosine that usually go with it. */
const SMALL_DROP = 0.01;
const GOOD_AGREEMENT = 0.97;
const GOOD_COSINE = 0.99;

export type Tone = "good" | "mixed" | "bad";

export interface Verdict {
  readonly tone: Tone;
  /** Fits a table cell: "smaller, faster, accuracy kept". */
  readonly short: string;
  /** One sentence without the scheme's name: "3.28x smaller, 1.69x faster; top1 87.71 % -> 87.60 %". */
  readonly sentence: string;
}

/** 1 better, -1 worse, 0 no difference to speak of; unknown ratios (0) are none either. */
export const direction = (ratio: number): 1 | 0 | -1 =>
  ratio >= NOTICEABLE ? 1 : ratio > 0 && ratio <= 1 / NOTICEABLE ? -1 : 0;

const change = (ratio: Ratio, better: string, worse: string, same: string): string => {
  const way = direction(ratio.ratio);
  if (way === 0) return same;
  return way > 0 ? `${times(ratio.ratio)} ${better}` : `${times(1 / ratio.ratio)} ${worse}`;
};

/** The metric a verdict is about: the first one measured. */
export const mainMetric = (candidate: Candidate): readonly [string, Metric] | undefined =>
  Object.entries(candidate.metrics)[0];

/** How much worse the metric became; negative when it improved. */
export const dropOf = (metric: Metric): number => (metric.before - metric.after) * (metric.higherIsBetter ? 1 : -1);

/** The worst of all outputs. */
export const worstOutput = (candidate: Candidate): Candidate["outputs"][number] | undefined =>
  candidate.outputs.reduce<Candidate["outputs"][number] | undefined>(
    (worst, output) => (worst === undefined || output.cosine < worst.cosine ? output : worst),
    undefined,
  );

/** In parts of the original's value for metrics that are not shares. */
const relativeDrop = (metric: Metric): number =>
  metric.unit === "share" ? dropOf(metric) : dropOf(metric) / Math.max(Math.abs(metric.before), Number.EPSILON);

const accuracyWords: readonly (readonly [Tone, string])[] = [
  ["good", "accuracy kept"],
  ["mixed", "some accuracy lost"],
  ["bad", "accuracy lost"],
];

/** Verify's own word for inputs that nobody gave: accuracy on them says nothing. */
const onMadeUpInputs = ({ findings }: Candidate): boolean => findings.some(({ code }) => code === "no-data");

function accuracyTone(candidate: Candidate): Tone | undefined {
  if (onMadeUpInputs(candidate)) return undefined;
  const main = mainMetric(candidate);
  const grade = (loss: number, small: number): Tone => (loss <= small ? "good" : loss <= 5 * small ? "mixed" : "bad");
  if (main !== undefined) return grade(relativeDrop(main[1]), SMALL_DROP);
  if (candidate.agreement !== undefined) return grade(1 - candidate.agreement, 1 - GOOD_AGREEMENT);
  const worst = worstOutput(candidate);
  return worst === undefined ? undefined : grade(1 - worst.cosine, 1 - GOOD_COSINE);
}

function accuracySentence(candidate: Candidate): string | undefined {
  if (onMadeUpInputs(candidate)) return "accuracy was not measured";
  const main = mainMetric(candidate);
  if (main !== undefined) {
    const [name, metric] = main;
    const before = metricValue(metric, metric.before);
    const after = metricValue(metric, metric.after);
    return before === after ? `${name} stays at ${after}` : `${name} goes from ${before} to ${after}`;
  }
  const worst = worstOutput(candidate);
  if (worst === undefined) return undefined;
  if (worst.sqnr === null) return "outputs are equal to the last bit";
  return `outputs differ at ${decibels(worst.sqnr)} (cosine ${cosine(worst.cosine)})`;
}

const WORST: readonly Tone[] = ["good", "mixed", "bad"];
const worseOf = (a: Tone, b: Tone): Tone => (WORST.indexOf(a) > WORST.indexOf(b) ? a : b);

/** Gains alone: shrinking or speeding up without paying in the other is good, neither is bad. */
function gainTone(size: number, speed: number): Tone {
  if (size <= 0 && speed <= 0) return "bad";
  return size < 0 || speed < 0 ? "mixed" : "good";
}

const shortWords = (size: number, speed: number | undefined, accuracy: Tone | undefined): string =>
  [
    size > 0 ? "smaller" : size < 0 ? "larger" : "same size",
    speed === undefined ? undefined : speed > 0 ? "faster" : speed < 0 ? "slower" : "same speed",
    accuracyWords.find(([tone]) => tone === accuracy)?.[1],
  ]
    .filter((word) => word !== undefined)
    .join(", ");

/** A model that was trained to be better, not smaller: its accuracy is all that counts. */
function trainedVerdict(candidate: Candidate, accuracy: Tone | undefined): Verdict {
  const main = mainMetric(candidate);
  const gained = main !== undefined && dropOf(main[1]) < 0;
  const lost = main !== undefined && dropOf(main[1]) > 0;
  return {
    tone: lost ? (accuracy ?? "good") : "good",
    short: gained ? "more accurate" : lost ? "less accurate" : "trained",
    sentence: accuracySentence(candidate) ?? "accuracy was not measured",
  };
}

/** Judges one candidate against the original. */
export function verdictOf(candidate: Candidate): Verdict {
  const broken = candidate.findings.find(({ severity }) => severity === "error");
  if (broken !== undefined) return { tone: "bad", short: "not usable", sentence: broken.message };
  const { size, latency, contract } = candidate;
  const speed = latency && direction(latency.ratio);
  const accuracy = accuracyTone(candidate);
  const gains = [change(size, "smaller", "larger", "no smaller")];
  if (latency !== undefined) gains.push(change(latency, "faster", "slower", "no faster"));
  const sentence = [list(gains), accuracySentence(candidate)].filter((part) => part !== undefined).join("; ");
  if (candidate.training?.mode === "float") return trainedVerdict(candidate, accuracy);
  if (contract !== undefined && !contract.met)
    return { tone: "bad", short: `${contract.metric} lost too much`, sentence: `more lost than allowed: ${sentence}` };
  return {
    tone: worseOf(gainTone(direction(size.ratio), speed ?? 0), accuracy ?? "good"),
    short: shortWords(direction(size.ratio), speed, accuracy),
    sentence,
  };
}

/** The candidate a report recommends, or its only one. */
export const headlineCandidate = (report: QuantizeReport): Candidate | undefined =>
  report.candidates.find(({ scheme }) => scheme === report.recommended?.scheme) ??
  (report.candidates.length === 1 ? report.candidates[0] : undefined);

/** One sentence on top of everything: the best candidate and what it cost. */
export function headline(report: QuantizeReport): { readonly tone: Tone; readonly sentence: string } {
  const best = headlineCandidate(report);
  if (best === undefined) {
    const tried = list(report.candidates.map(({ scheme }) => scheme));
    if (tried === "") return { tone: "bad", sentence: "No model was made." };
    if (report.candidates.every(onMadeUpInputs))
      return { tone: "mixed", sentence: `Made ${tried}; accuracy was not measured, so none is recommended.` };
    return { tone: "bad", sentence: `None of ${tried} is worth taking.` };
  }
  const { tone, sentence } = verdictOf(best);
  return { tone, sentence: `${best.scheme}: ${sentence}.` };
}
