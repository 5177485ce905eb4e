/** Small building blocks of the page. */
import { type Html, html } from "./html.ts";

/** Longer words must break somewhere on a phone. */
const UNBROKEN = 20;

export interface Cell {
  readonly content: Html | string;
  /** Numbers stand to the right; a full cell takes the whole width of a card on phones. */
  readonly kind?: "number" | "full" | "head";
}

export const number = (content: Html | string | undefined): Cell => ({ content: content ?? "", kind: "number" });
export const head = (content: Html | string): Cell => ({ content, kind: "head" });
export const full = (content: Html | string): Cell => ({ content, kind: "full" });
export const text = (content: Html | string): Cell => ({ content });

export interface Row {
  readonly cells: readonly Cell[];
  readonly className?: string;
}

export interface TableInit {
  readonly caption?: string;
  readonly titles: readonly Cell[];
  readonly rows: readonly Row[];
}

const isEmpty = ({ content }: Cell): boolean => content === "";

function cell({ content, kind }: Cell, label: Html | string): Html {
  if (kind === "head") return html`<th scope="row">${content}</th>`;
  const classes = [kind, content === "" ? "none" : ""].filter((name) => name).join(" ");
  return html`<td class="${classes}" data-label="${typeof label === "string" ? label : ""}">${content === "" && kind === "number" ? "–" : content}</td>`;
}

/** A table that becomes one card per row on phones; columns without a single value are left out. */
export function table({ caption, titles, rows }: TableInit): Html {
  const kept = titles.map((_, i) => i).filter((i) => i === 0 || rows.some(({ cells }) => !isEmpty(cells[i]!)));
  const heads = kept.map((i) => {
    const { content, kind } = titles[i]!;
    return html`<th scope="col" class="${kind === "number" ? "number" : ""}">${content}</th>`;
  });
  const lines = rows.map(
    ({ cells, className }) =>
      html`<tr class="${className ?? ""}">${kept.map((i) => cell(cells[i]!, titles[i]!.content))}</tr>\n`,
  );
  return html`<div class="scroll"><table class="cards">${caption !== undefined && html`<caption>${caption}</caption>`}
<thead><tr>${heads}</tr></thead>
<tbody>
${lines}</tbody></table></div>\n`;
}

/** A chart's numbers, folded away. */
export const numbers = (
  titles: readonly string[],
  rows: readonly (readonly string[])[],
): Html => html`<details class="small">
<summary>Numbers</summary>
<table><thead><tr>${titles.map((title, i) => html`<th scope="col" class="${i > 0 ? "number" : ""}">${title}</th>`)}</tr></thead>
<tbody>${rows.map((row) => html`<tr>${row.map((value, i) => (i === 0 ? html`<th scope="row">${value}</th>` : html`<td class="number">${value}</td>`))}</tr>`)}</tbody></table>
</details>`;

/** Text whose short hyphenated words ("top1") and numbers with units ("87.71 %") are not torn apart at line ends. */
export const unbroken = (sentence: string): Html =>
  html`${sentence
    .replace(/(?<=\d) (?=[%a-zA-Z]{1,2}(?![a-z]))/g, "\u00a0")
    .split(/(?<= )|(?= )/)
    .map((word) => (word.length <= UNBROKEN && word.includes("-") ? html`<span class="whole">${word}</span>` : word))}`;
