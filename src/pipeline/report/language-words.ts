/** Figures of language models as people read them; used by the page and by the terminal. */
import type { Estimate } from "../../numeric/token-metrics.ts";
import type { LanguageQuality, LanguageRun } from "../language/index.ts";
import type { Memory, Ratio } from "../result.ts";
import { bytes, digits, list, milliseconds, percent, times } from "./format.ts";

/** Perplexities close to each other differ in the third digit behind the point. */
const PERPLEXITY_DIGITS = 4;

/** A number and its standard error with as many decimals. */
function plusMinus(value: string, error: number, unit = ""): string {
  const decimals = value.split(".")[1]?.length ?? 0;
  return `${value}${unit} ± ${value.includes("e") ? digits(error) : error.toFixed(decimals)}`;
}

export const perplexityText = ({ value, error }: Estimate): string =>
  plusMinus(value < 1000 ? value.toPrecision(PERPLEXITY_DIGITS) : value.toFixed(0), error);

/** "+11.9 % ± 0.8": how much perplexity rose, from the pairs. */
export function riseText({ value, error }: Estimate): string {
  const rise = 100 * (value - 1);
  return plusMinus(`${rise < 0 ? "-" : "+"}${digits(Math.abs(rise))}`, 100 * error, " %");
}

export const shareText = ({ value, error }: Estimate): string => plusMinus((100 * value).toFixed(1), 100 * error, " %");

/** One measurement: of the original, of the new model, and what changed. */
export interface LanguageRow {
  readonly title: string;
  readonly before?: string;
  readonly after: string;
  readonly change?: string;
}

function qualityRows({ perplexity, divergence, agreement }: LanguageQuality): readonly LanguageRow[] {
  return [
    ...(perplexity
      ? [
          {
            title: "perplexity",
            before: perplexityText(perplexity.before),
            after: perplexityText(perplexity.after),
            change: riseText(perplexity.ratio),
          },
        ]
      : []),
    { title: "KL divergence, mean", after: plusMinus(digits(divergence.mean.value), divergence.mean.error) },
    { title: "KL divergence, 99 % below", after: digits(divergence.p99) },
    { title: "same top token", after: shareText(agreement) },
  ];
}

const speedRow = (title: string, { before, after, ratio }: Ratio): LanguageRow => ({
  ...{ title, before: `${digits(before)} tokens/s`, after: `${digits(after)} tokens/s` },
  change: `${times(ratio)} as fast`,
});

const smaller = ({ ratio }: Ratio): string => (ratio >= 1 ? `${times(ratio)} smaller` : `${times(1 / ratio)} larger`);

function memoryRows(memory: Memory): readonly LanguageRow[] {
  const { before, after, load } = memory;
  return [
    { title: "memory", before: bytes(before), after: bytes(after), change: smaller(memory) },
    { title: "opens in", before: milliseconds(load.before), after: milliseconds(load.after) },
  ];
}

/** Everything that was measured of the two, the size first. */
export function languageRows(size: Ratio, run: LanguageRun | undefined): readonly LanguageRow[] {
  const { quality, alone, speed, memory } = run ?? {};
  return [
    { title: "size", before: bytes(size.before), after: bytes(size.after), change: smaller(size) },
    ...(quality ? qualityRows(quality) : []),
    ...(alone ? [{ title: "perplexity", after: perplexityText(alone.perplexity) }] : []),
    ...(speed ? [speedRow("prompt", speed.prompt), speedRow("generation", speed.generation)] : []),
    ...(memory ? memoryRows(memory) : []),
  ];
}

/** "run on text.txt: 5 windows of 256 tokens, 635 predicted; llama 3.22.1, 1 thread" */
export function runText({ quality, alone, engine, threads }: LanguageRun): string {
  const text = quality?.text ?? alone?.text;
  const on = text
    ? `${text.origin}: ${text.windows} ${text.windows === 1 ? "window" : "windows"} of ${text.context} tokens, ${text.predicted} predicted; `
    : "";
  return `${on}${engine}, ${threads} ${threads === 1 ? "thread" : "threads"}`;
}

/** One sentence on what the new model is worth. */
export function languageVerdict(scheme: string, ratio: number, run: LanguageRun | undefined): string {
  const { quality, speed, contract } = run ?? {};
  const perplexity = quality?.perplexity;
  const parts = [
    `${times(ratio)} smaller`,
    ...(perplexity ? [`perplexity ${riseText(perplexity.ratio)}`] : []),
    ...(quality ? [`the same top token at ${percent(Number(quality.agreement.value.toFixed(3)))} of places`] : []),
    ...(speed ? [`generation ${times(speed.generation.ratio)} as fast`] : []),
  ];
  const kept =
    contract === undefined ? "" : `; --max-drop ${percent(contract.maxDrop)} was ${contract.met ? "kept" : "not kept"}`;
  return `${scheme} is ${list(parts)}${kept}`;
}
