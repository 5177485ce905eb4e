/** What is in a model, for people. */
import { bytes, compact, count, list, printable, shorten } from "../../pipeline/report/format.ts";
import type { InspectReport, PortSummary } from "../../pipeline/result.ts";
import { type Io, paint } from "../io.ts";
import { table } from "../table.ts";
import { printFindings } from "./findings.ts";

const NAME_LENGTH = 48;

const port = ({ name, dtype, shape }: PortSummary): string =>
  `${printable(shorten(name, NAME_LENGTH))} ${dtype}${shape === undefined ? "" : `[${shape.map((dim) => dim ?? "?").join(", ")}]`}`;

function head(io: Io, report: InspectReport): void {
  const { model, container, formatVersion, opsets, producer, parameters } = report;
  const domains = Object.entries(opsets).map(([domain, version]) => `${domain === "" ? "opset" : domain} ${version}`);
  const by = producer === undefined ? "" : `, made by ${printable(producer)}`;
  io.stdout.write(
    `${paint(io, "bold", printable(model.name))}  ${bytes(model.size)}, ${container} version ${formatVersion}, `,
  );
  io.stdout.write(`${list(domains)}${by}\n`);
  io.stdout.write(`${count(model.ops, "node")}, ${compact(parameters)} parameters, sha256 ${model.sha256}\n`);
  io.stdout.write(`inputs   ${report.inputs.map(port).join(", ")}\noutputs  ${report.outputs.map(port).join(", ")}\n`);
}

/** Which share of an op's nodes can be quantized, and why the rest can't. */
const quantizable = ({ quantizable: some, count: all }: InspectReport["ops"][number]): string =>
  some === all ? "yes" : some === 0 ? "no" : `${some} of ${all}`;

export function printInspected(io: Io, report: InspectReport): void {
  const dim = (text: string): string => paint(io, "dim", text);
  head(io, report);
  const right = (title: string) => ({ title, align: "right" }) as const;
  const weights = report.weights.map((row) => [row.dtype, String(row.tensors), bytes(row.bytes)]);
  if (weights.length > 0)
    io.stdout.write(`\n${table([{ title: "weights" }, right("tensors"), right("size")], weights, dim)}`);
  const ops = report.ops.map((row) => [
    row.op,
    String(row.count),
    row.weightBytes === 0 ? undefined : bytes(row.weightBytes),
    quantizable(row),
    list(row.reasons),
  ]);
  const columns = [{ title: "op" }, right("nodes"), right("weights"), { title: "quantizable" }, { title: "why not" }];
  if (ops.length > 0) io.stdout.write(`\n${table(columns, ops, dim)}`);
  const largest = report.largest.map((row) => [
    shorten(row.name, NAME_LENGTH),
    row.dtype,
    row.shape.join(" x "),
    bytes(row.bytes),
  ]);
  const titles = [{ title: "largest tensors" }, { title: "type" }, { title: "shape" }, right("size")];
  if (largest.length > 0) io.stdout.write(`\n${table(titles, largest, dim)}`);
  if (report.findings.length > 0) io.stdout.write("\n");
  printFindings(io, report.findings);
}
