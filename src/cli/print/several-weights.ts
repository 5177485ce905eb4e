/** Several schemes of a GGUF model for people: one line for each file. */
import { bytes, decibels, digits, printable, times } from "../../pipeline/report/format.ts";
import { perplexityText, riseText, shareText } from "../../pipeline/report/language-words.ts";
import type { SeveralWeightsReport, TensorReport, WeightsQuantizeReport } from "../../pipeline/weights/index.ts";
import type { Io } from "../io.ts";
import { type Column, printTable } from "../table.ts";
import { printFindings } from "./findings.ts";

const right = (title: string): Column => ({ title, align: "right" });

const COLUMNS: readonly Column[] = [
  { title: "" },
  right("size"),
  right("smaller"),
  right("bits/weight"),
  right("SQNR, lowest"),
  right("median"),
  right("other types"),
  right("perplexity"),
  right("change"),
  right("KL mean"),
  right("same top token"),
  right("generation"),
  right("seconds"),
  { title: "file" },
];

/** SQNR of the tensors that were encoded, ascending; exact ones count as the best. */
const ratiosOf = (tensors: readonly TensorReport[]): readonly number[] =>
  tensors.flatMap(({ sqnr }) => (sqnr === undefined ? [] : [sqnr ?? Number.POSITIVE_INFINITY])).sort((a, b) => a - b);

const shown = (ratio: number | undefined): string | undefined =>
  ratio === undefined ? undefined : decibels(Number.isFinite(ratio) ? ratio : null);

/** What running the file gave, in the columns for it. */
function runCells({ run }: WeightsQuantizeReport): readonly (string | undefined)[] {
  const { quality, speed } = run ?? {};
  const perplexity = quality?.perplexity;
  return [
    perplexity && perplexityText(perplexity.after),
    perplexity && riseText(perplexity.ratio),
    quality && digits(quality.divergence.mean.value),
    quality && shareText(quality.agreement),
    speed && `${times(speed.generation.ratio)} as fast`,
  ];
}

function row(report: WeightsQuantizeReport) {
  const { scheme, size, bitsPerWeight, tensors, output, seconds } = report;
  const ratios = ratiosOf(tensors);
  const fallen = tensors.filter(({ insteadOf }) => insteadOf !== undefined).length;
  return [
    scheme,
    bytes(size.after),
    times(size.ratio),
    digits(bitsPerWeight),
    shown(ratios[0]),
    shown(ratios[Math.floor(ratios.length / 2)]),
    fallen === 0 ? undefined : String(fallen),
    ...runCells(report),
    output && digits(seconds),
    output && printable(output),
  ];
}

/** A table of all files; findings that several share are said once. */
export function printSeveralWeights(io: Io, { model, candidates, refused }: SeveralWeightsReport): void {
  io.stdout.write("\n");
  printTable(io, COLUMNS, [[printable(model.name), bytes(model.size)], ...candidates.map(row)]);
  io.stdout.write("\n");
  const findings = new Map(candidates.flatMap((each) => each.findings).map((each) => [each.message, each]));
  printFindings(io, [...findings.values()]);
  for (const { scheme, reason } of refused) io.stdout.write(`${scheme} was not made: ${printable(reason)}\n`);
}
