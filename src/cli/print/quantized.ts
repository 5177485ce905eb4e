/** Results of quantize and compare for people. */
import {
  bytes,
  cosine,
  count,
  decibels,
  metricChange,
  metricValue,
  milliseconds,
  percent,
  printable,
  shorten,
  times,
} from "../../pipeline/report/format.ts";
import { told } from "../../pipeline/report/told.ts";
import { headline, verdictOf, worstOutput } from "../../pipeline/report/verdict.ts";
import type { Candidate, CompareReport, QuantizeReport } from "../../pipeline/result.ts";
import { type Io, paint } from "../io.ts";
import { type Column, printTable, wrap } from "../table.ts";
import { printFindings, printKept, textWidth } from "./findings.ts";

const right = (title: string): Column => ({ title, align: "right" });

/** Metric names over all candidates, in the order they first appear. */
const metricNames = (candidates: readonly Candidate[]): readonly string[] => [
  ...new Set(candidates.flatMap(({ metrics }) => Object.keys(metrics))),
];

function originalRow(label: string, candidates: readonly Candidate[]): (string | undefined)[] {
  const [first] = candidates;
  const measured = candidates.find(({ latency }) => latency)?.latency;
  const memory = candidates.find((candidate) => candidate.memory)?.memory;
  const metrics = metricNames(candidates).map((name) => {
    const metric = candidates.find((candidate) => candidate.metrics[name])?.metrics[name];
    return metric && metricValue(metric, metric.before);
  });
  return [
    label,
    first && bytes(first.size.before),
    undefined,
    measured && milliseconds(measured.before),
    undefined,
    memory && bytes(memory.before),
    ...metrics,
  ];
}

function candidateRow(candidate: Candidate, names: readonly string[]): (string | undefined)[] {
  const { scheme, size, latency, memory, agreement, integerShare } = candidate;
  const worst = worstOutput(candidate);
  const metrics = names.map((name) => {
    const metric = candidate.metrics[name];
    return metric && `${metricValue(metric, metric.after)} (${metricChange(metric)})`;
  });
  return [
    scheme,
    bytes(size.after),
    times(size.ratio),
    latency && milliseconds(latency.after),
    latency && times(latency.ratio),
    memory && bytes(memory.after),
    ...metrics,
    agreement === undefined ? undefined : percent(agreement),
    worst && cosine(worst.cosine),
    worst && decibels(worst.sqnr),
    integerShare === undefined ? undefined : percent(integerShare),
  ];
}

function printCandidates(io: Io, original: string, candidates: readonly Candidate[]): void {
  const names = metricNames(candidates);
  const columns = [
    { title: "" },
    right("size"),
    right("smaller"),
    right("latency"),
    right("faster"),
    right("memory"),
    ...names.map(right),
    right("agreement"),
    right("cosine"),
    right("SQNR"),
    right("in integers"),
  ];
  const rows = [originalRow(original, candidates), ...candidates.map((candidate) => candidateRow(candidate, names))];
  io.stdout.write("\n");
  printTable(io, columns, rows);
  io.stdout.write("\n");
}

const TONES = { good: "green", mixed: "yellow", bad: "red" } as const;

function printVerdicts(io: Io, candidates: readonly Candidate[]): void {
  for (const candidate of candidates) {
    const { tone, sentence } = verdictOf(candidate);
    const text = wrap(`${candidate.scheme}: ${sentence}`, textWidth(io), "  ");
    io.stdout.write(`${paint(io, TONES[tone], candidate.scheme)}${text.slice(candidate.scheme.length)}\n`);
  }
}

function printWritten(io: Io, report: QuantizeReport, page: string | undefined): void {
  const files = report.candidates.filter(({ output }) => output !== undefined);
  if (files.length === 0) io.stdout.write("no model was written\n");
  for (const { output, size } of files) io.stdout.write(`wrote ${printable(output ?? "")} (${bytes(size.after)})\n`);
  if (page !== undefined) io.stdout.write(`report ${printable(page)}\n`);
}

/** How training went, for those that were trained. */
function printTraining(io: Io, { scheme, training }: Candidate): void {
  if (training === undefined || training.losses.length === 0) return;
  const { losses, steps, loss } = training;
  const ends = `${losses[0]!.toPrecision(3)} to ${losses.at(-1)!.toPrecision(3)}`;
  io.stdout.write(
    `${wrap(`${scheme}: ${count(steps, "step")} of training, ${loss} from ${ends}`, textWidth(io), "  ")}\n`,
  );
}

export function printQuantized(io: Io, report: QuantizeReport, page: string | undefined): void {
  const { candidates, recommended, refused } = report;
  if (candidates.length > 0) printCandidates(io, "original", candidates);
  printVerdicts(io, candidates);
  for (const candidate of candidates) printTraining(io, candidate);
  for (const candidate of candidates.length === 1 ? candidates : []) printKept(io, candidate.kept);
  printFindings(io, told(report), candidates.length + refused.length > 1);
  if (candidates.length > 1 && recommended !== undefined)
    io.stdout.write(
      `\n${paint(io, "bold", "take ")}${wrap(`${recommended.scheme}: ${recommended.reason}`, textWidth(io))}\n`,
    );
  else if (candidates.length > 1) io.stdout.write(`\n${headline(report).sentence}\n`);
  printWritten(io, report, page);
}

const NAME_LENGTH = 48;

const LAYER_COLUMNS: readonly Column[] = [
  { title: "layer" },
  { title: "op" },
  ...["bits", "SQNR", "mean error", "largest", "steps"].map(right),
];

const error = (value: number): string => (value === 0 ? "0" : value.toExponential(1));

/** In the order of the network; "exact" where no value differs. */
function printLayers(io: Io, { layers }: Candidate): void {
  if (layers.length === 0) return;
  const rows = layers.map(({ value, op, bits, sqnr, meanError, maxAbs, steps }) => [
    ...[printable(shorten(value, NAME_LENGTH)), op, String(bits), decibels(sqnr)],
    ...[error(meanError), error(maxAbs), steps?.toFixed(2)],
  ]);
  printTable(io, LAYER_COLUMNS, rows);
  io.stdout.write("\n");
}

export function printCompared(io: Io, report: CompareReport): void {
  const { candidate, model, findings } = report;
  printCandidates(io, model.name, [candidate]);
  printLayers(io, candidate);
  printVerdicts(io, [candidate]);
  printFindings(io, [...findings, ...candidate.findings]);
}
