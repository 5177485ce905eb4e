/** JSON that others wrote: no key twice, bounded depth and number of values, objects as maps so that no name is special. */
import { fail } from "../numeric/errors.ts";

/** A value as it stands in the text. */
export type Json = null | boolean | number | string | readonly Json[] | ReadonlyMap<string, Json>;

/** What a text may ask for; `where` begins messages. */
export interface JsonLimits {
  readonly where: string;
  /** Objects and arrays inside each other. */
  readonly depth: number;
  /** Values in all. */
  readonly values: number;
}

interface Reader {
  readonly text: string;
  readonly limits: JsonLimits;
  pos: number;
  values: number;
}

const SHOWN = 20;

const broken = ({ text, pos, limits }: Reader, expected: string): never =>
  fail(
    "format",
    pos >= text.length
      ? `${limits.where}: the JSON breaks off where ${expected} was expected; it is truncated`
      : `${limits.where}: found ${JSON.stringify(text.slice(pos, pos + SHOWN))} at character ${pos} where ${expected} was expected; it is no JSON`,
  );

const SPACE = /[ \t\n\r]*/y;

function skipSpace(at: Reader): void {
  SPACE.lastIndex = at.pos;
  SPACE.exec(at.text);
  at.pos = SPACE.lastIndex;
}

/** Moves past `char`, or says no. */
function accept(at: Reader, char: string): boolean {
  skipSpace(at);
  if (at.text[at.pos] !== char) return false;
  at.pos++;
  return true;
}

/** Position of the quote that ends the string whose first character is at `from`. */
function stringEnd(at: Reader, from: number): number {
  for (let i = from; i < at.text.length; i++) {
    const code = at.text.charCodeAt(i);
    if (code === 0x22) return i;
    if (code === 0x5c) i++;
    else if (code < 0x20) break;
  }
  at.pos = from;
  return broken(at, "a string without control characters");
}

function unescaped(at: Reader, from: number, end: number): string {
  try {
    const found: unknown = JSON.parse(at.text.slice(from - 1, end + 1));
    if (typeof found === "string" && !/\p{Surrogate}/u.test(found)) return found;
  } catch {}
  at.pos = from;
  return broken(at, "a string with valid escapes");
}

function string(at: Reader): string {
  if (!accept(at, '"')) broken(at, "a string");
  const from = at.pos;
  const end = stringEnd(at, from);
  const raw = at.text.slice(from, end);
  const found = raw.includes("\\") ? unescaped(at, from, end) : raw;
  at.pos = end + 1;
  return found;
}

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const WORDS: readonly (readonly [string, Json])[] = [
  ["true", true],
  ["false", false],
  ["null", null],
];

function plain(at: Reader): Json {
  for (const [word, value] of WORDS)
    if (at.text.startsWith(word, at.pos)) {
      at.pos += word.length;
      return value;
    }
  NUMBER.lastIndex = at.pos;
  const match = NUMBER.exec(at.text);
  if (match === null) return broken(at, "a value");
  at.pos = NUMBER.lastIndex;
  return Number(match[0]);
}

function array(at: Reader, depth: number): Json {
  const found: Json[] = [];
  if (accept(at, "]")) return found;
  do found.push(value(at, depth));
  while (accept(at, ","));
  if (!accept(at, "]")) broken(at, '"," or "]"');
  return found;
}

function object(at: Reader, depth: number): Json {
  const found = new Map<string, Json>();
  if (accept(at, "}")) return found;
  do {
    const key = string(at);
    if (found.has(key)) fail("format", `${at.limits.where}: key ${JSON.stringify(key.slice(0, 80))} occurs twice`);
    if (!accept(at, ":")) broken(at, '":"');
    found.set(key, value(at, depth));
  } while (accept(at, ","));
  if (!accept(at, "}")) broken(at, '"," or "}"');
  return found;
}

function value(at: Reader, depth: number): Json {
  const { where, depth: deepest, values } = at.limits;
  if (++at.values > values) fail("limit", `${where}: more than ${values} values; the file is damaged or hostile`);
  skipSpace(at);
  const char = at.text[at.pos];
  if (char === '"') return string(at);
  if (char !== "{" && char !== "[") return plain(at);
  if (depth >= deepest) fail("limit", `${where}: objects and arrays nest deeper than ${deepest}`);
  at.pos++;
  return char === "{" ? object(at, depth + 1) : array(at, depth + 1);
}

/** Parses a text that is one JSON value. Code "format" for what is no JSON or holds a key twice, "limit" beyond limits. */
export function parseJson(text: string, limits: JsonLimits): Json {
  const at: Reader = { text, limits, pos: 0, values: 0 };
  const found = value(at, 0);
  skipSpace(at);
  if (at.pos < text.length) broken(at, "the end");
  return found;
}

/** Whether a value is an object. */
export const isJsonObject = (json: Json | undefined): json is ReadonlyMap<string, Json> => json instanceof Map;

/** Bytes as text; fails where they are not UTF-8. */
export function utf8Text(bytes: Uint8Array, where: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    return fail("format", `${where}: its text is not UTF-8; the file is damaged`, cause);
  }
}
