/** HTML that can't be broken out of: whatever is put into a template is escaped unless it is HTML itself. */

import { printable } from "./format.ts";

export interface Html {
  readonly html: string;
}

const ESCAPES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** Safe in text and in quoted attributes. */
export const escapeHtml = (text: string): string => printable(text).replace(/[&<>"']/g, (letter) => ESCAPES[letter]!);

type Part = Html | string | number | undefined | false | readonly Part[];

function render(part: Part): string {
  if (part === undefined || part === false) return "";
  if (typeof part === "string" || typeof part === "number") return escapeHtml(String(part));
  return "html" in part ? part.html : part.map(render).join("");
}

/** A template of HTML; strings and numbers put in are escaped, lists are joined, undefined and false are nothing. */
export const html = (texts: TemplateStringsArray, ...parts: readonly Part[]): Html => ({
  html: texts.map((text, i) => (i === 0 ? "" : render(parts[i - 1])) + text).join(""),
});

/** Marks text as HTML; only for what this program made itself. */
export const trusted = (text: string): Html => ({ html: text });
