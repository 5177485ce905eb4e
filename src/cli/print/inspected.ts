/** What is in a model, for people. */
import { bytes, compact, count, list, printable, shorten } from "../../pipeline/report/format.ts";
import type { InspectReport, OpSummary, PortSummary } from "../../pipeline/result.ts";
import { type Io, paint } from "../io.ts";
import { type Column, printTable, wrap } from "../table.ts";
import { printFindings, textWidth } from "./findings.ts";

/** Longest name in a table. */
export const NAME_LENGTH = 48;

const port = ({ name, dtype, shape }: PortSummary): string =>
  `${printable(shorten(name, NAME_LENGTH))} ${dtype}${shape === undefined ? "" : `[${shape.map((dim) => dim ?? "?").join(", ")}]`}`;

function head(io: Io, report: InspectReport): void {
  const { model, container, formatVersion, opsets, producer, parameters } = report;
  const domains = Object.entries(opsets).map(([domain, version]) => `${domain === "" ? "opset" : domain} ${version}`);
  const facts = [
    `${container} version ${formatVersion}`,
    ...(domains.length === 0 ? [] : [printable(list(domains))]),
    ...(producer === undefined ? [] : [`made by ${printable(producer)}`]),
  ];
  io.stdout.write(`${paint(io, "bold", printable(model.name))}  ${bytes(model.size)}, ${facts.join(", ")}\n`);
  io.stdout.write(`${count(model.ops, "node")}, ${compact(parameters)} parameters, sha256 ${model.sha256}\n`);
  io.stdout.write(`inputs   ${report.inputs.map(port).join(", ")}\noutputs  ${report.outputs.map(port).join(", ")}\n`);
}

/** A column of numbers. */
export const right = (title: string): Column => ({ title, align: "right" });

/** A table with an empty line before it, where it has rows. */
export function section(io: Io, columns: readonly Column[], rows: readonly (string | undefined)[][]): void {
  if (rows.length === 0) return;
  io.stdout.write("\n");
  printTable(io, columns, rows);
}

/** Which share of an op's nodes can be quantized. */
const quantizable = ({ quantizable: some, count: all }: OpSummary): string =>
  some === all ? "yes" : some === 0 ? "no" : `${some} of ${all}`;

function ops(io: Io, rows: readonly OpSummary[]): void {
  const lines = rows.map((row) => [
    row.op,
    String(row.count),
    row.weightBytes === 0 ? undefined : bytes(row.weightBytes),
    row.weightBytes === 0 && row.quantizable === 0 ? undefined : quantizable(row),
  ]);
  section(io, [{ title: "op" }, right("nodes"), right("weights"), { title: "quantizable" }], lines);
  for (const { op, reasons } of rows)
    for (const reason of reasons) io.stdout.write(`${wrap(`${op}: ${reason}`, textWidth(io), "  ")}\n`);
}

/** Tensors by type. */
export function weightTypes(io: Io, rows: InspectReport["weights"]): void {
  const weights = rows.map((row) => [row.dtype, String(row.tensors), bytes(row.bytes)]);
  section(io, [{ title: "weights" }, right("tensors"), right("size")], weights);
}

/** The tensors with most bytes. */
export function largestTensors(io: Io, rows: InspectReport["largest"]): void {
  const largest = rows.map(({ name, dtype, shape, bytes: size }) => [
    shorten(name, NAME_LENGTH),
    dtype,
    shape.join(" x "),
    bytes(size),
  ]);
  section(io, [{ title: "largest tensors" }, { title: "type" }, { title: "shape" }, right("size")], largest);
}

export function printInspected(io: Io, report: InspectReport): void {
  head(io, report);
  weightTypes(io, report.weights);
  ops(io, report.ops);
  largestTensors(io, report.largest);
  if (report.findings.length > 0) io.stdout.write("\n");
  printFindings(io, report.findings);
}
