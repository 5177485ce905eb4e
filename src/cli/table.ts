/** Aligned columns for terminals. */
import { printable } from "../pipeline/report/format.ts";
import { displayWidth } from "./io.ts";

export interface Column {
  readonly title: string;
  /** Numbers to the right, names to the left. */
  readonly align?: "left" | "right";
}

const GAP = "  ";

const pad = (text: string, width: number, align: Column["align"]): string => {
  const space = " ".repeat(Math.max(0, width - displayWidth(text)));
  return align === "right" ? space + text : text + space;
};

/** Lines of a table; columns without a single value are left out. `style` dresses the head. */
export function table(
  columns: readonly Column[],
  rows: readonly (readonly (string | undefined)[])[],
  style: (text: string) => string = (text) => text,
): string {
  const kept = columns.map((_, i) => i).filter((i) => i === 0 || rows.some((row) => (row[i] ?? "") !== ""));
  const cells = rows.map((row) => kept.map((i) => printable(row[i] || "-").replace(/\s+/g, " ")));
  const heads = kept.map((i) => columns[i]!);
  const widths = heads.map((head, i) =>
    Math.max(displayWidth(head.title), ...cells.map((row) => displayWidth(row[i] ?? ""))),
  );
  const line = (texts: readonly string[]): string =>
    texts
      .map((text, i) => pad(text, widths[i] ?? 0, heads[i]?.align))
      .join(GAP)
      .trimEnd();
  return `${[style(line(heads.map(({ title }) => title))), ...cells.map(line)].join("\n")}\n`;
}

/** Breaks a text into lines of at most `width` columns, the second and later ones indented. */
export function wrap(text: string, width: number, indent = ""): string {
  const lines: string[] = [];
  let line = "";
  for (const word of printable(text).split(/\s+/)) {
    if (line !== "" && displayWidth(line) + 1 + displayWidth(word) > width) {
      lines.push(line);
      line = indent + word;
    } else line = line === "" ? (lines.length > 0 ? indent : "") + word : `${line} ${word}`;
  }
  return [...lines, line].join("\n");
}
