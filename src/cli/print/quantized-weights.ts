/** What quantizing a GGUF file did, for people: types with sizes and errors, then the tensors that differ. */
import { bytes, count, decibels, digits, percent, printable, shorten } from "../../pipeline/report/format.ts";
import type { TensorReport, WeightsQuantizeReport } from "../../pipeline/weights/index.ts";
import type { Io } from "../io.ts";
import { type Column, printTable } from "../table.ts";
import { printFindings } from "./findings.ts";
import { printRun } from "./language.ts";

const NAME_LENGTH = 40;
const REASON_LENGTH = 60;
/** Differences below this are not worth a word. */
const NEAR = 1e-3;

/** A share that may be far below one percent. */
const share = (value: number): string => `${digits(100 * value)} %`;

const COLUMNS: readonly Column[] = [
  { title: "tensor" },
  { title: "from" },
  { title: "to" },
  { title: "size", align: "right" },
  { title: "SQNR", align: "right" },
  { title: "why" },
];

const line = ({ name, from, to, size, sqnr, insteadOf, reason }: TensorReport): (string | undefined)[] => [
  shorten(printable(name), NAME_LENGTH),
  from,
  to,
  bytes(size.after),
  sqnr === undefined ? undefined : decibels(sqnr),
  shorten(printable(insteadOf === undefined ? reason : `not ${insteadOf}: ${reason}`), REASON_LENGTH),
];

/** How good the types are that were chosen for a size. */
function printTarget(io: Io, { target, bitsPerWeight }: WeightsQuantizeReport): void {
  if (target === undefined) return;
  const gap = target.error > target.bound * (1 + NEAR) ? `, at least ${share(target.bound)} by any other choice` : "";
  io.stdout.write(
    `at most ${target.size} bytes: ${digits(bitsPerWeight)} bits for each weight, mean error ${share(target.error)}${gap}\n`,
  );
}

/** All tensors but those that stay as they are, which are counted. */
export function printQuantizedWeights(io: Io, report: WeightsQuantizeReport, page?: string): void {
  const { tensors, findings, output, size, scheme, files, run } = report;
  const changed = tensors.filter(({ from, to }) => from !== to);
  io.stdout.write("\n");
  printTable(io, COLUMNS, changed.map(line));
  io.stdout.write(`${count(tensors.length - changed.length, "tensor")} more stay as they are\n`);
  if (run !== undefined) printRun(io, ["original", scheme], size, run);
  printFindings(io, findings);
  printTarget(io, report);
  const sizes = `${bytes(size.after)}, ${percent(size.after / size.before)} of ${bytes(size.before)}`;
  const isFile = files[0] !== undefined && output?.endsWith(files[0].name);
  const others = isFile && files.length > 1 ? ` and ${count(files.length - 1, "file")} more` : "";
  if (run?.contract?.met === false)
    io.stdout.write(
      `perplexity rose by more than --max-drop allows (${percent(run.contract.drop)}, allowed ${percent(run.contract.maxDrop)})${output === undefined ? "; nothing was written" : ""}\n`,
    );
  if (output === undefined && run === undefined)
    io.stdout.write(`${scheme} would take ${size.after} bytes: ${sizes}; nothing was written\n`);
  else if (output !== undefined) io.stdout.write(`wrote ${printable(output)}${others} (${sizes})\n`);
  if (page !== undefined) io.stdout.write(`report ${printable(page)}\n`);
}
