/** What running language models gave, for people. */
import type {
  LanguageBenchReport,
  LanguageBenchRow,
  LanguageCompareReport,
  LanguageRun,
} from "../../pipeline/language/index.ts";
import { bytes, digits, milliseconds, times } from "../../pipeline/report/format.ts";
import { languageRows, languageVerdict, runText } from "../../pipeline/report/language-words.ts";
import type { Ratio } from "../../pipeline/result.ts";
import { type Io, paint } from "../io.ts";
import { type Column, printTable, wrap } from "../table.ts";
import { printFindings, textWidth } from "./findings.ts";

const right = (title: string): Column => ({ title, align: "right" });

/** A row for each measurement, of the original and of the new model. */
export function printRun(io: Io, names: readonly [string, string], size: Ratio, run: LanguageRun): void {
  io.stdout.write("\n");
  printTable(
    io,
    [{ title: "" }, right(names[0]), right(names[1]), right("change")],
    languageRows(size, run).map(({ title, before, after, change }) => [title, before, after, change]),
  );
  io.stdout.write(`${wrap(`run on ${runText(run)}`, textWidth(io), "  ")}\n`);
}

export function printComparedLanguage(io: Io, report: LanguageCompareReport): void {
  const { reference, candidate, size, run, findings } = report;
  printRun(io, [reference.name, candidate.name], size, run);
  io.stdout.write("\n");
  const verdict = wrap(languageVerdict(candidate.name, size.ratio, run), textWidth(io), "  ");
  io.stdout.write(`${paint(io, run.contract?.met === false ? "red" : "green", verdict)}\n`);
  printFindings(io, findings);
}

const BENCH_COLUMNS: readonly Column[] = [
  { title: "" },
  ...["size", "prompt tok/s", "faster", "generation tok/s", "faster", "memory", "peak", "opens in"].map(right),
];

const benchLine = (row: LanguageBenchRow, at: number): (string | undefined)[] => [
  row.name,
  bytes(row.size),
  digits(row.prompt),
  at === 0 ? undefined : times(row.promptFaster),
  digits(row.generation),
  at === 0 ? undefined : times(row.generationFaster),
  bytes(row.memory.resident),
  bytes(row.memory.peak),
  milliseconds(row.memory.load),
];

export function printBenchLanguage(io: Io, report: LanguageBenchReport): void {
  const { rows, environment, rounds, promptTokens, generatedTokens, findings } = report;
  const { engine, threads, cpu } = environment;
  io.stdout.write("\n");
  printTable(io, BENCH_COLUMNS, rows.map(benchLine));
  const setup = `${rounds} rounds, taking turns: prompts of ${promptTokens} tokens, ${generatedTokens} generated ones; ${engine}, ${threads} thread${threads === 1 ? "" : "s"}, ${cpu}`;
  io.stdout.write(`\n${wrap(setup, textWidth(io), "  ")}\n`);
  printFindings(io, findings);
}
