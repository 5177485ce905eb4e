/** Results of bench for people. */
import { bytes, compact, milliseconds, times } from "../../pipeline/report/format.ts";
import type { BenchReport } from "../../pipeline/result.ts";
import type { Io } from "../io.ts";
import { type Column, printTable } from "../table.ts";
import { printFindings } from "./findings.ts";

const COLUMNS: readonly Column[] = [
  { title: "" },
  ...["size", "median", "p10", "p90", "faster", "samples/s", "memory", "opens in"].map(
    (title): Column => ({ title, align: "right" }),
  ),
];

export function printBench(io: Io, { rows, environment, runs, findings }: BenchReport): void {
  const lines = rows.map((row, i) => [
    row.name,
    bytes(row.size),
    milliseconds(row.median),
    milliseconds(row.p10),
    milliseconds(row.p90),
    i === 0 ? undefined : times(row.speedup),
    compact(Number(row.throughput.toPrecision(3))),
    row.memory && bytes(row.memory.resident),
    row.memory && milliseconds(row.memory.load),
  ]);
  io.stdout.write("\n");
  printTable(io, COLUMNS, lines);
  io.stdout.write("\n");
  const { engine, threads, cpu } = environment;
  io.stdout.write(
    `${runs} runs of each, taking turns; ${engine}, ${threads} thread${threads === 1 ? "" : "s"}, ${cpu}\n`,
  );
  printFindings(io, findings);
}
