/** Plans for people: what --dry-run shows. */
import type { Plan } from "../../ir/plan.ts";
import { bytes, count, shorten, times } from "../../pipeline/report/format.ts";
import type { DryRun } from "../../pipeline/result.ts";
import { type Io, paint } from "../io.ts";
import { type Column, printTable, wrap } from "../table.ts";
import { printFindings, printKept, textWidth } from "./findings.ts";

const COLUMNS: readonly Column[] = [
  { title: "node" },
  { title: "op" },
  { title: "form" },
  { title: "weight" },
  { title: "shape" },
  { title: "to" },
  { title: "before", align: "right" },
  { title: "after", align: "right" },
];

/** Longer plans are for --json. */
const ROWS_SHOWN = 200;
const NAME_LENGTH = 40;

type Weight = NonNullable<Plan["nodes"][number]["weight"]>;

function target({ scheme, algorithm, qparams }: Weight): string {
  const { granularity } = scheme;
  const per = granularity.per === "group" ? `groups of ${granularity.size}` : `per ${granularity.per}`;
  const codes = scheme.codes === undefined ? "" : ` ${scheme.codes[0]}..${scheme.codes[1]}`;
  return `${scheme.codebook ?? scheme.dtype}${codes} ${per}, ${qparams === undefined ? algorithm : "given"}`;
}

const row = ({ node, op, form, weight }: Plan["nodes"][number]): (string | undefined)[] => [
  shorten(node, NAME_LENGTH),
  op,
  form,
  ...(weight === undefined
    ? []
    : [
        shorten(weight.tensor, NAME_LENGTH),
        weight.shape.join(" x "),
        target(weight),
        bytes(weight.bytes.before),
        bytes(weight.bytes.after),
      ]),
];

function printPlan(io: Io, { scheme, nodes, values, kept, notes, bytes: size }: Plan): void {
  const gain = size.after === 0 ? "" : ` (${times(size.before / size.after)} smaller)`;
  io.stdout.write(`${paint(io, "bold", scheme)}  weights ${bytes(size.before)} -> ${bytes(size.after)}${gain}, `);
  io.stdout.write(
    `${count(nodes.length, "node")}, ${count(values.length, "calibrated value")}, ${kept.length} kept\n\n`,
  );
  const rows = nodes.slice(0, ROWS_SHOWN).map(row);
  printTable(io, COLUMNS, rows);
  if (nodes.length > ROWS_SHOWN)
    io.stdout.write(`and ${count(nodes.length - ROWS_SHOWN, "more", "more")}; --json has all\n`);
  io.stdout.write("\n");
  printKept(io, kept);
  for (const note of notes) io.stdout.write(`${wrap(note, textWidth(io), "  ")}\n`);
}

export function printPlans(io: Io, { plans, findings }: DryRun): void {
  for (const plan of plans) printPlan(io, plan);
  printFindings(io, findings);
  io.stdout.write("dry run: nothing was written\n");
}
