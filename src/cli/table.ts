/** Aligned columns for terminals. */
import { printable } from "../pipeline/report/format.ts";
import { displayWidth, type Io, paint } from "./io.ts";

export interface Column {
  readonly title: string;
  /** Numbers to the right, names to the left. */
  readonly align?: "left" | "right";
}

const GAP = "  ";
/** A space where no line may end. */
const GLUE = "\u00a0";

const pad = (text: string, width: number, align: Column["align"]): string => {
  const space = " ".repeat(Math.max(0, width - displayWidth(text)));
  return align === "right" ? space + text : text + space;
};

export interface TableLook {
  /** Dresses the head. */
  readonly style?: (text: string) => string;
  /** Wider tables become one paragraph per row. */
  readonly width?: number;
}

type Cells = readonly (string | undefined)[];

/** One paragraph per row: its first cell, then "title value" of the others. */
const stacked = (heads: readonly Column[], rows: readonly (readonly string[])[], width: number): string =>
  rows
    .map(([first = "", ...values]) => {
      const pairs = values.flatMap((value, i) =>
        value === "-" ? [] : [`${heads[i + 1]?.title} ${value}`.replaceAll(" ", GLUE)],
      );
      return `${first}\n${pairs.length === 0 ? "" : `${wrap(`  ${pairs.join(", ")}`, width, "  ")}\n`}`;
    })
    .join("");

/** Lines of a table; columns without a single value are left out. */
export function table(columns: readonly Column[], rows: readonly Cells[], look: TableLook = {}): string {
  const { style = (text: string) => text, width = Number.POSITIVE_INFINITY } = look;
  const kept = columns.map((_, i) => i).filter((i) => i === 0 || rows.some((row) => (row[i] ?? "") !== ""));
  const cells = rows.map((row) => kept.map((i) => printable(row[i] || "-").replace(/\s+/g, " ")));
  const heads = kept.map((i) => columns[i]!);
  const widths = heads.map((head, i) =>
    Math.max(displayWidth(head.title), ...cells.map((row) => displayWidth(row[i] ?? ""))),
  );
  const total = widths.reduce((sum, each) => sum + each + GAP.length, -GAP.length);
  if (total > width) return stacked(heads, cells, width);
  const line = (texts: readonly string[]): string =>
    texts
      .map((text, i) => pad(text, widths[i] ?? 0, heads[i]?.align))
      .join(GAP)
      .trimEnd();
  return `${[style(line(heads.map(({ title }) => title))), ...cells.map(line)].join("\n")}\n`;
}

/** The same for a terminal: dim head, no wider than the terminal. */
export const printTable = (io: Io, columns: readonly Column[], rows: readonly Cells[]): void => {
  io.stdout.write(table(columns, rows, { style: (text) => paint(io, "dim", text), width: io.width }));
};

/** A number and its unit stay on one line. */
const UNIT = /(?<=\d) (?=(?:%|dB|ms|s|B|kB|MB|GB)(?![a-z]))/g;

/** Breaks a text into lines of at most `width` columns, the second and later ones indented. */
export function wrap(text: string, width: number, indent = ""): string {
  const lines: string[] = [];
  const [start = ""] = /^ */.exec(text) ?? [];
  let line = "";
  for (const word of printable(text.trimStart())
    .replace(UNIT, GLUE)
    .split(/[ \n\t]+/)) {
    const next = line === "" ? (lines.length > 0 ? indent : start) + word : `${line} ${word}`;
    if (line !== "" && displayWidth(next) > width) {
      lines.push(line);
      line = indent + word;
    } else line = next;
  }
  return [...lines, line].join("\n").replaceAll(GLUE, " ");
}
