/** The rest of the page: findings, what was kept, what the engine runs, how to reproduce it. */
import type { Candidate, DataSummary, Environment, Finding, OutputFile, QuantizeReport, Severity } from "../result.ts";
import { bytes, count, list, shorten } from "./format.ts";
import { type Html, html } from "./html.ts";
import { groupKept } from "./kept.ts";
import { full, head, number, table } from "./parts.ts";
import { type Told, told } from "./told.ts";

const WORDS: { readonly [S in Severity]: string } = { error: "Error", warning: "Warning", info: "Note" };
const FINDINGS_SHOWN = 100;

/** What a person should know, the gravest first, with what to do about it; schemes are named where there are several. */
export function findingList(all: readonly (Finding & Partial<Told>)[], several = false): Html {
  if (all.length === 0) return html``;
  const items = all
    .slice(0, FINDINGS_SHOWN)
    .map(
      ({ severity, message, remedy, schemes = [] }) =>
        html`<li class="${severity}"><b class="${severity === "error" ? "bad" : severity === "warning" ? "mixed" : "soft"}">${WORDS[severity]}</b>${several && schemes.length > 0 && ` (${list(schemes)})`}: ${message}${remedy !== undefined && html`<span class="remedy">→ ${remedy}</span>`}</li>\n`,
    );
  const left = all.length - items.length;
  return html`<h2>What to know</h2>
<ul class="findings">${items}</ul>${left > 0 && html`<p class="soft">${count(left, "more", "more")} in the JSON file.</p>`}`;
}

/** Findings of all candidates. */
export const findings = (report: QuantizeReport): Html =>
  findingList(told(report), report.candidates.length + report.refused.length > 1);

const GROUPS_SHOWN = 50;
const NAMES_SHOWN = 6;
const NAME_LENGTH = 60;

/** Nodes that stay as they were, and why. */
export function keptSection({ kept }: Candidate): Html {
  if (kept.length === 0) return html``;
  const groups = groupKept(kept).slice(0, GROUPS_SHOWN);
  const rows = groups.map((nodes) => {
    const names = nodes.slice(0, NAMES_SHOWN).map(({ node }) => shorten(node, NAME_LENGTH));
    const more = nodes.length - names.length;
    const { op, reason, byUser } = nodes[0]!;
    return {
      cells: [
        head(op),
        number(String(nodes.length)),
        full(byUser ? `${reason} (as asked)` : reason),
        full(html`<span class="name">${names.join(", ")}${more > 0 && ` and ${count(more, "more", "more")}`}</span>`),
      ],
    };
  });
  return html`<h3>Kept as it was</h3>
${table({ titles: [head("op"), number("nodes"), full("why"), full("which")], rows })}`;
}

const OPS_SHOWN = 40;

/** Ops as the engine has them, after its own optimization where it has one, before and after. */
export function opsSection({ opHistogram }: Candidate): Html {
  if (opHistogram === undefined) return html``;
  const { before, after } = opHistogram;
  const names = [...new Set([...Object.keys(after), ...Object.keys(before)])];
  const total = (op: string): number => (before[op] ?? 0) + (after[op] ?? 0);
  const rows = names
    .sort((a, b) => total(b) - total(a))
    .slice(0, OPS_SHOWN)
    .map((op) => ({ cells: [head(op), number(String(before[op] ?? 0)), number(String(after[op] ?? 0))] }));
  return html`<details><summary>Ops that the engine runs</summary>
${table({ titles: [head("op"), number("original"), number("quantized")], rows })}</details>`;
}

const notes = ({ notes: all }: Candidate): Html | false =>
  all.length > 0 &&
  html`<h3>Steps before quantizing</h3>
<ul>${all.map((note) => html`<li>${note}</li>`)}</ul>`;

export const planSection = (candidate: Candidate): Html =>
  html`${notes(candidate)}${keptSection(candidate)}${opsSection(candidate)}`;

/** What a result came from. */
export interface Origin {
  readonly command: string;
  readonly createdAt: string;
  readonly environment: Environment;
  readonly files: readonly (Omit<OutputFile, "sha256"> & Partial<OutputFile>)[];
  /** Pairs of a name and what it was. */
  readonly data?: readonly (readonly [string, string])[];
}

/** Command, versions and checksums. */
export function reproduction({ command, createdAt, environment, files, data = [] }: Origin): Html {
  const hashed = files.some(({ sha256 }) => sha256 !== undefined);
  const rows = files.map(({ name, size, sha256 = "" }) => ({
    cells: [
      head(html`<span class="name">${name}</span>`),
      number(bytes(size)),
      ...(hashed ? [full(html`<span class="name">${sha256}</span>`)] : []),
    ],
  }));
  const titles = [head("file"), number("size"), ...(hashed ? [full("SHA-256")] : [])];
  const facts: readonly (readonly [string, string])[] = [
    ["fewbit", environment.fewbit],
    ["Node", environment.node],
    ["engine", `${environment.engine}, ${count(environment.threads, "thread")}`],
    ["machine", `${environment.platform}, ${environment.cpu}`],
    ["made", createdAt],
    ...data,
  ];
  return html`<h2>How to reproduce this</h2>
<pre><code>${command}</code></pre>
<dl>${facts.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>
${table({ caption: hashed ? "Files and their SHA-256" : "Files", titles, rows })}`;
}

/** How a report of models with a graph came about. */
export function reproduce(report: QuantizeReport): Html {
  const { command, createdAt, environment, model, candidates, calibration, evaluation } = report;
  const named = ({ origin, samples }: DataSummary): string => `${origin}, ${count(samples, "sample")}`;
  const data: readonly (readonly [string, string])[] = [
    ...(calibration ? [["calibration data", named(calibration)] as const] : []),
    ...(evaluation ? [["evaluation data", named(evaluation)] as const] : []),
  ];
  const files = [model, ...candidates.flatMap(({ files: all }) => all)];
  return reproduction({ command, createdAt, environment, files, data });
}
