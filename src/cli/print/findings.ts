/** Findings and what was kept, as sentences. */
import type { Kept } from "../../ir/plan.ts";
import { count, list, shorten } from "../../pipeline/report/format.ts";
import { groupKept } from "../../pipeline/report/kept.ts";
import type { Told } from "../../pipeline/report/told.ts";
import type { Finding, Severity } from "../../pipeline/result.ts";
import { type Io, paint, type Style } from "../io.ts";
import { wrap } from "../table.ts";

const LABELS: { readonly [S in Severity]: readonly [string, Style] } = {
  error: ["error", "red"],
  warning: ["warning", "yellow"],
  info: ["note", "dim"],
};

/** A sentence needs no more than this many columns, however wide the terminal. */
const MAX_WIDTH = 100;
const MIN_WIDTH = 40;
export const textWidth = ({ width }: Pick<Io, "width">): number => Math.max(MIN_WIDTH, Math.min(width - 1, MAX_WIDTH));

/** "warning (w4): message -> remedy", wrapped; schemes are named where there are several. */
export function printFindings(io: Io, findings: readonly (Finding & Partial<Told>)[], several = false): void {
  for (const { severity, message, remedy, schemes = [] } of findings) {
    const [label, style] = LABELS[severity];
    const about = several && schemes.length > 0 ? ` (${list(schemes)})` : "";
    const text = wrap(
      `${label}${about}: ${message}${remedy === undefined ? "" : ` -> ${remedy}`}`,
      textWidth(io),
      "  ",
    );
    io.stdout.write(`${paint(io, style, label)}${text.slice(label.length)}\n`);
  }
}

const NAMES_SHOWN = 3;
const NAME_LENGTH = 32;

/** Kept nodes by reason: "kept in float: 3 Softmax (a, b, c): reason". */
export function printKept(io: Io, kept: readonly Kept[]): void {
  for (const nodes of groupKept(kept)) {
    const shown = nodes.slice(0, NAMES_SHOWN).map(({ node }) => shorten(node, NAME_LENGTH));
    const more = nodes.length > shown.length ? [count(nodes.length - shown.length, "more", "more")] : [];
    const { op, reason } = nodes[0]!;
    const text = `kept in float: ${nodes.length} ${op} (${list([...shown, ...more])}): ${reason}`;
    io.stdout.write(`${wrap(text, textWidth(io), "  ")}\n`);
  }
}
