/** What is in files of weights without a graph, for people. */
import { bytes, compact, count, printable, shorten } from "../../pipeline/report/format.ts";
import type { WeightsReport } from "../../pipeline/result.ts";
import { type Io, paint } from "../io.ts";
import { largestTensors, NAME_LENGTH, section, weightTypes } from "./inspected.ts";

function head(io: Io, { model, container, formatVersion, architecture, tensors, parameters }: WeightsReport): void {
  const version = container === "gguf" ? ` version ${formatVersion}` : "";
  const kind = architecture === undefined ? "" : `, architecture ${printable(architecture)}`;
  const files = model.files === 1 ? "" : ` in ${count(model.files, "file")}`;
  io.stdout.write(
    `${paint(io, "bold", printable(model.name))}  ${bytes(model.size)}${files}, ${container}${version}${kind}\n`,
  );
  io.stdout.write(`${count(tensors, "tensor")}, ${compact(parameters)} parameters; weights without a graph\n`);
}

/** The report as tables. */
export function printWeights(io: Io, report: WeightsReport): void {
  head(io, report);
  weightTypes(io, report.weights);
  const metadata = report.metadata.map(({ key, type, value }) => [
    printable(shorten(key, NAME_LENGTH)),
    type,
    printable(shorten(value.replaceAll(/\s+/g, " "), NAME_LENGTH)),
  ]);
  section(io, [{ title: "metadata" }, { title: "type" }, { title: "value" }], metadata);
  largestTensors(io, report.largest);
}
