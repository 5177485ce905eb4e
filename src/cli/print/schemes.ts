/** The list of schemes for people. */
import { bytes, digits, times } from "../../pipeline/report/format.ts";
import type { SchemeSummary, SchemesReport } from "../../pipeline/result.ts";
import type { Io } from "../io.ts";
import { type Column, printTable } from "../table.ts";

const COLUMNS: readonly Column[] = [
  { title: "scheme" },
  { title: "for" },
  { title: "size", align: "right" },
  { title: "smaller", align: "right" },
  { title: "bits/weight", align: "right" },
  { title: "data" },
  { title: "other types", align: "right" },
  { title: "what it does" },
];

const row = (scheme: SchemeSummary, original: number | undefined): (string | undefined)[] => [
  scheme.name,
  scheme.container,
  scheme.bytes === undefined ? undefined : bytes(scheme.bytes),
  scheme.bytes === undefined || original === undefined ? undefined : times(original / scheme.bytes),
  scheme.bitsPerWeight === undefined ? undefined : digits(scheme.bitsPerWeight),
  scheme.needsImportance ? "importance" : scheme.needsData ? "needed" : "not needed",
  scheme.fallbacks ? String(scheme.fallbacks) : undefined,
  scheme.fits === false ? `does not fit: ${scheme.reason ?? "nothing to quantize"}` : scheme.summary,
];

/** Those that fit first. */
export function printSchemes(io: Io, { schemes, model }: SchemesReport): void {
  const sorted = [...schemes].sort((a, b) => Number(b.fits !== false) - Number(a.fits !== false));
  if (model !== undefined) io.stdout.write(`${model.name}, ${bytes(model.size)}\n\n`);
  const rows = sorted.map((scheme) => row(scheme, model?.size));
  printTable(io, COLUMNS, rows);
}
