/** Changes one value inside a JSON text and leaves every other character as it is: numbers, spacing, order of keys. */
import { fail } from "../numeric/errors.ts";

interface Member {
  readonly key: string;
  readonly start: number;
  readonly end: number;
}

const SPACE = /\s/;

function skipSpace(text: string, at: number): number {
  let i = at;
  while (i < text.length && SPACE.test(text[i]!)) i++;
  return i;
}

/** End of the string that starts at `at`. */
function skipString(text: string, at: number): number {
  let i = at + 1;
  while (i < text.length && text[i] !== '"') i += text[i] === "\\" ? 2 : 1;
  return i + 1;
}

/** End of the value that starts at `at`. */
function skipValue(text: string, at: number): number {
  let depth = 0;
  for (let i = at; i < text.length; ) {
    const char = text[i]!;
    if (depth === 0 && i > at && /[\s,\]}]/.test(char)) return i;
    if (char === '"') {
      i = skipString(text, i);
      if (depth === 0) return i;
      continue;
    }
    if (char === "{" || char === "[") depth++;
    if ((char === "}" || char === "]") && --depth === 0) return i + 1;
    i++;
  }
  return text.length;
}

/** Members of the object that starts at `open`; the text is known to be JSON. */
function members(text: string, open: number): readonly Member[] {
  const found: Member[] = [];
  let i = skipSpace(text, open + 1);
  while (text[i] === '"') {
    const keyEnd = skipString(text, i);
    const key = JSON.parse(text.slice(i, keyEnd)) as string;
    const start = skipSpace(text, skipSpace(text, keyEnd) + 1);
    const end = skipValue(text, start);
    found.push({ key, start, end });
    i = skipSpace(text, end);
    if (text[i] === ",") i = skipSpace(text, i + 1);
  }
  return found;
}

/** How the text is laid out; no indent means one line. */
interface Style {
  readonly indent: string;
  readonly newline: string;
}

function styleOf(text: string): Style {
  const first = /^\s*\{(\r?\n)([ \t]+)"/.exec(text);
  return { newline: first?.[1] ?? "\n", indent: first?.[2] ?? "" };
}

function printed(value: unknown, depth: number, { indent, newline }: Style): string {
  const text = JSON.stringify(value, null, indent);
  return text.replaceAll("\n", newline + indent.repeat(depth));
}

function inserted(text: string, open: number, key: string, value: string, depth: number, style: Style): string {
  const last = members(text, open).at(-1);
  const at = last?.end ?? open + 1;
  const line = style.indent === "" ? "" : style.newline + style.indent.repeat(depth);
  const colon = style.indent === "" && !/":\s/.test(text) ? ":" : ": ";
  const separator = last === undefined ? line : `,${line || (colon === ": " ? " " : "")}`;
  const close = last === undefined && style.indent !== "" ? style.newline + style.indent.repeat(depth - 1) : "";
  const rest = last === undefined ? text.slice(skipSpace(text, at)) : text.slice(at);
  return `${text.slice(0, at)}${separator}${JSON.stringify(key)}${colon}${value}${close}${rest}`;
}

/**
 * `text` with the value at `path` replaced, or added as the last member. `where` names the file in errors; every value on
 * the way must be an object.
 */
export function setJson(text: string, path: readonly string[], value: unknown, where: string): string {
  const style = styleOf(text);
  let open = skipSpace(text, 0);
  for (const [depth, key] of path.entries()) {
    if (text[open] !== "{")
      fail("format", `${where}: ${path.slice(0, depth).join(".") || "the text"} is not an object`);
    const member = members(text, open).findLast((candidate) => candidate.key === key);
    const rest = path.slice(depth + 1);
    const nested = rest.reduceRight<unknown>((inner, name) => ({ [name]: inner }), value);
    if (member === undefined) return inserted(text, open, key, printed(nested, depth + 1, style), depth + 1, style);
    if (rest.length === 0)
      return text.slice(0, member.start) + printed(value, depth + 1, style) + text.slice(member.end);
    open = member.start;
  }
  return text;
}
