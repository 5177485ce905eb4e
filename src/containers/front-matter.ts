/**
 * The front matter of a model card: YAML between two lines of three hyphens. Only what is asked for is read, in the forms
 * that cards use: texts, quoted or not, on one line or several; lists; lists of small mappings.
 */
import { FewbitError, fail } from "../numeric/errors.ts";
import { parseJson } from "./json.ts";

/** What a plain text of YAML 1.1 stands for, where it is none. */
const NULLS = /^(~|null|Null|NULL)?$/;
const OTHERS =
  /^(y|yes|no|n|on|off|true|false|[-+]?(\d[\d_]*(\.[\d_]*)?|\.\d[\d_]*)([eE][-+]\d+)?|0x[\da-f_]+|[-+]?\.(inf|nan)|\d{4}-\d\d?-\d\d?([Tt ].*)?)$/i;

/** A text; `isText` is false where YAML takes it for a number, a date, or yes and no. */
export interface Scalar {
  readonly text: string;
  readonly isText: boolean;
}

/** A value: null, a text, a list, or a mapping of texts. */
export type FrontValue = null | Scalar | readonly FrontValue[] | ReadonlyMap<string, FrontValue>;

/** A line without its indentation. */
interface Line {
  readonly indent: number;
  readonly text: string;
}

/** Front matters are some kilobytes long; what is beyond is no card. */
const MAX_LINES = 20_000;
/** Lists inside lists. */
const MAX_DEPTH = 8;

/** What is not of the forms above: the key is left out. */
const unreadable = (): never => fail("unsupported", "front matter: a value is in a form that is not read");

const isScalar = (value: FrontValue): value is Scalar =>
  typeof value === "object" && value !== null && "isText" in value;

/** Whether a value is a text, or something that can stand for one. */
export const scalarOf = (value: FrontValue | undefined): Scalar | undefined =>
  value !== undefined && value !== null && isScalar(value) ? value : undefined;

const linesOf = (source: string): readonly string[] => source.split(/\r\n|\r|\n/);

/** In a list of languages "no" is one. */
const norwegian = (text: string): string => (text === "- no" ? '- "no"' : text);

/** The lines between the marks; none where the text begins otherwise. */
function matterOf(text: string): readonly Line[] {
  const all = linesOf(text.replace(/^\ufeff/, ""));
  if (all[0] !== "---") return [];
  const end = all.indexOf("---", 1);
  return all
    .slice(1, end < 0 ? undefined : end)
    .slice(0, MAX_LINES)
    .map((line) => line.replaceAll("\t", "  "))
    .map((line) => ({ indent: line.length - line.trimStart().length, text: norwegian(line.trim()) }));
}

const isSilent = ({ text }: Line): boolean => text === "" || text.startsWith("#");

/** A text up to a comment. */
const uncommented = (text: string): string => text.replace(/(^|\s)#.*$/, "").trimEnd();

function plain(source: string): Scalar | null {
  const text = uncommented(source);
  return NULLS.test(text) ? null : { text, isText: !OTHERS.test(text) };
}

/** Where a quoted text ends; what is behind it may only be a comment or, in lists on one line, more of the list. */
const QUOTED = /^(?:"((?:[^"\\]|\\.)*)"|'((?:[^']|'')*)')/;

function quoted(source: string): readonly [Scalar, string] | undefined {
  const [whole, double, single] = QUOTED.exec(source) ?? [];
  if (whole === undefined) return undefined;
  const rest = source.slice(whole.length).trimStart();
  if (single !== undefined) return [{ text: single.replaceAll("''", "'"), isText: true }, rest];
  try {
    return [{ text: String(parseJson(`"${double}"`, { where: "", depth: 0, values: 1 })), isText: true }, rest];
  } catch {
    return unreadable();
  }
}

/** A list on one line, whose "[" was taken. */
function flowList(source: string): readonly FrontValue[] {
  const found: FrontValue[] = [];
  for (let rest = source.trim(); ; ) {
    if (rest.startsWith("]")) return uncommented(rest.slice(1)).trim() === "" ? found : unreadable();
    const [value, behind] = quoted(rest) ?? flowPlain(rest);
    found.push(value);
    rest = behind;
    if (rest.startsWith(",")) rest = rest.slice(1).trimStart();
    else if (!rest.startsWith("]")) unreadable();
  }
}

function flowPlain(source: string): readonly [FrontValue, string] {
  const end = source.search(/[,\]]/);
  if (end < 0 || /[[{]/.test(source.slice(0, end))) return unreadable();
  return [plain(source.slice(0, end).trim()), source.slice(end)];
}

/** `|` keeps lines, `>` folds them; `-` takes away the last line's end, `+` keeps all of them. */
function block(mark: string, children: readonly Line[]): Scalar {
  const [, style, chomp] = /^([|>])([-+]?)$/.exec(uncommented(mark)) ?? unreadable();
  const first = children.find(({ text }) => text !== "")?.indent ?? 0;
  const lines = children.map(({ indent, text }) => (text === "" ? "" : " ".repeat(Math.max(0, indent - first)) + text));
  while (lines.at(-1) === "") lines.pop();
  const text = style === "|" ? lines.join("\n") : folded(lines);
  return { text: chomp === "-" || text === "" ? text : `${text}\n`, isText: true };
}

/** Lines as one; an empty line stands for a line's end. */
const folded = (lines: readonly string[]): string =>
  lines.join("\n").replaceAll(/\n+/g, (ends) => (ends.length === 1 ? " " : ends.slice(1)));

/** What stands behind a key or a hyphen, with the lines below it that are indented more. */
function readValue(source: string, children: readonly Line[], depth: number): FrontValue {
  if (/^[|>]/.test(source)) return block(source, children);
  const spoken = children.filter((line) => !isSilent(line));
  if (uncommented(source) === "") return spoken.length === 0 ? null : collection(spoken, depth);
  const joined = [source, ...children.map(({ text }) => text)].join(" ").trimEnd();
  if (source.startsWith("[")) return flowList(joined.slice(1));
  if (/^[{&*!%@`]/.test(source)) return unreadable();
  if (!/^["']/.test(source)) return plain(joined);
  const [value, rest] = quoted(joined) ?? unreadable();
  return uncommented(rest) === "" ? value : unreadable();
}

const isItem = ({ text }: Line): boolean => text === "-" || text.startsWith("- ");
const KEY = /^("[^"]*"|'[^']*'|[^\s"'[{#&*!|>%@`-][^:]*?|-[^\s:][^:]*?)\s*:(?:\s+|$)(.*)$/;

const keyOf = (text: string): readonly [string, string] | undefined => {
  const [, key, rest] = KEY.exec(text) ?? [];
  return key === undefined ? undefined : [key.replace(/^(["'])(.*)\1$/, "$2"), rest ?? ""];
};

/** Splits lines into heads, those indented least, and what is below each. */
function sections(lines: readonly Line[]): readonly { readonly head: Line; readonly children: readonly Line[] }[] {
  const least = lines.find((line) => !isSilent(line))?.indent ?? 0;
  const found: { head: Line; children: Line[] }[] = [];
  for (const line of lines) {
    const isHead = line.indent <= least && !isSilent(line);
    // items may stand right below their key
    const belongs = isHead && isItem(line) && found.length > 0 && !isItem(found[0]!.head);
    if (isHead && !belongs) found.push({ head: line, children: [] });
    else found.at(-1)?.children.push(line);
  }
  return found;
}

/** A list, or a mapping. */
function collection(lines: readonly Line[], depth: number): FrontValue {
  if (depth > MAX_DEPTH) return unreadable();
  const parts = sections(lines);
  return isItem(parts[0]!.head)
    ? parts.map(({ head, children }) => item(head, children, depth + 1))
    : new Map(
        parts.map(({ head, children }) => {
          const [key, rest] = keyOf(head.text) ?? unreadable();
          return [key, readValue(rest, children, depth + 1)];
        }),
      );
}

function item({ indent, text }: Line, children: readonly Line[], depth: number): FrontValue {
  const rest = text.slice(1).trimStart();
  const isMapping = keyOf(rest) !== undefined && !/^["'[]/.test(rest);
  if (!isMapping && !isItem({ indent, text: rest })) return readValue(rest, children, depth);
  const inner = indent + text.length - rest.length;
  return collection(
    [{ indent: inner, text: rest }, ...children.map((line) => ({ ...line, indent: Math.max(line.indent, inner) }))],
    depth,
  );
}

/** What was found, and the keys that are there in a form that is not read. */
export interface FrontMatter {
  readonly values: ReadonlyMap<string, FrontValue>;
  readonly unreadable: readonly string[];
}

/** The values of some keys of a text's front matter; nothing where it has none. Never fails. */
export function frontMatter(text: string, keys: ReadonlySet<string>): FrontMatter {
  const values = new Map<string, FrontValue>();
  const failed: string[] = [];
  for (const { head, children } of sections(matterOf(text))) {
    const [key, rest] = keyOf(head.text) ?? [];
    if (key === undefined || rest === undefined || head.indent > 0 || !keys.has(key)) continue;
    try {
      values.set(key, readValue(rest, children, 0));
    } catch (error) {
      if (!(error instanceof FewbitError)) throw error;
      failed.push(key);
    }
  }
  return { values, unreadable: failed };
}
