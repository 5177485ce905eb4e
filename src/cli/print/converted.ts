/** Results of convert for people. */
import { bytes, count, decibels, digits, percent, printable, shorten } from "../../pipeline/report/format.ts";
import type { ConvertedOutput, ConvertReport } from "../../pipeline/result.ts";
import type { Io } from "../io.ts";
import { type Column, printTable, wrap } from "../table.ts";
import { printFindings, textWidth } from "./findings.ts";

const NAME_LENGTH = 48;

const COLUMNS: readonly Column[] = [
  { title: "output" },
  ...["largest value", "largest difference", "SQNR", "differing"].map((title): Column => ({ title, align: "right" })),
];

/** A difference is small beside 1: a few digits of it, whatever its size. */
const small = (value: number): string => (value === 0 ? "0" : value.toPrecision(2));

const line = ({ name, largest, maxAbs, sqnr, differing }: ConvertedOutput): (string | undefined)[] => [
  shorten(name, NAME_LENGTH),
  digits(largest),
  small(maxAbs),
  decibels(sqnr),
  differing === undefined ? undefined : percent(differing),
];

export function printConverted(io: Io, report: ConvertReport): void {
  const { model, ops, outputs, evaluation, reference, environment, findings, output, size, openBatch } = report;
  io.stdout.write("\n");
  printTable(io, COLUMNS, outputs.map(line));
  const ran = `${model.name} on ${reference} and the converted model on ${environment.engine}, ${count(evaluation.samples, "sample")}`;
  const nodes = `${count(ops.before, "node")} became ${ops.after}; ${openBatch ? "any number of samples at once" : "the batch is fixed"}`;
  for (const text of [ran, nodes]) io.stdout.write(`${wrap(printable(text), textWidth(io), "  ")}\n`);
  printFindings(io, findings);
  if (output === undefined) io.stdout.write("no model was written\n");
  else io.stdout.write(`wrote ${printable(output)} (${bytes(size.after)})\n`);
}
