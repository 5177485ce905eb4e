/** What a folder of safetensors became, for people. */
import type { ConvertFolderReport } from "../../pipeline/convert-folder.ts";
import { bytes, compact, count, printable, shorten } from "../../pipeline/report/format.ts";
import { perplexityText, runText } from "../../pipeline/report/language-words.ts";
import type { Io } from "../io.ts";
import { wrap } from "../table.ts";
import { printFindings, textWidth } from "./findings.ts";
import { NAME_LENGTH, section, weightTypes } from "./inspected.ts";

const isOwn = ({ key }: ConvertFolderReport["metadata"][number]): boolean => !key.startsWith("general.");

function printRun(io: Io, run: NonNullable<ConvertFolderReport["run"]>): void {
  const perplexity = run.alone ? `; perplexity ${perplexityText(run.alone.perplexity)}` : "";
  io.stdout.write(`${wrap(`run on ${runText(run)}${perplexity}`, textWidth(io))}\n`);
}

/** Types, the model's and the tokenizer's settings, findings, and what was written. */
export function printConvertedFolder(io: Io, report: ConvertFolderReport): void {
  const { architecture, tensors, parameters, tokenizer, findings, output, size, type, run } = report;
  io.stdout.write(`${printable(architecture ?? "")}, ${count(tensors, "tensor")}, ${compact(parameters)} parameters\n`);
  weightTypes(io, report.weights);
  const settings = report.metadata
    .filter(isOwn)
    .map(({ key, value }) => [
      printable(shorten(key, NAME_LENGTH)),
      printable(shorten(value.replaceAll(/\s+/g, " "), NAME_LENGTH)),
    ]);
  section(io, [{ title: "setting" }, { title: "value" }], settings);
  io.stdout.write(
    `\ntokenizer: ${tokenizer.model}, ${printable(tokenizer.pre)}, ${count(tokenizer.tokens, "token")}\n`,
  );
  if (run) printRun(io, run);
  printFindings(io, findings);
  if (output === undefined) io.stdout.write(`${type} would take ${size.after} bytes; nothing was written\n`);
  else io.stdout.write(`wrote ${printable(output)} (${bytes(size.after)})\n`);
}
