/** What the name of a model says: "Mistral-7B-Instruct-v0.3" (gguf-py/gguf/metadata.py of llama.cpp). */

/** The parts of a name; absent where it does not have them. */
export interface ModelId {
  readonly name?: string;
  readonly organization?: string;
  readonly basename?: string;
  readonly finetune?: string;
  readonly version?: string;
  readonly sizeLabel?: string;
}

type Kind = "basename" | "size" | "finetune" | "version" | "type";

/** One part between hyphens, and what it is taken for. */
interface Part {
  text: string;
  readonly kinds: Set<Kind>;
}

const VERSION = /^(v|iter)?\d+(\.\d+)*$/i;
const TYPE = /^(i?q\d(_\w)*|b?fp?(16|32))$/i;
const SIZE = /^((A|\d+x)?\d+([._]\d+)?[KMBT]\d?|small|mini|medium|large|x?xl)$/i;
const FINETUNE = /^(chat|instruct|vision|lora)$/i;
const UNITS = " KMBT";

/** 7b1 as 7.1B, 1_5B as 1.5B, 7b as 7B. */
function sizeText(text: string): string {
  let found = text.replaceAll("_", ".");
  if (/\d$/.test(found)) found = `${found.slice(0, -2)}.${found.at(-1)}${found.at(-2)}`;
  return /\d[kmbt]$/.test(found) ? found.slice(0, -1) + found.slice(-1).toUpperCase() : found;
}

/** Whether a size is so far from the model's that it must mean something else, a context length. */
function isOff(size: string, parameters: number): boolean {
  const number = size.slice(0, -1);
  if (parameters === 0 || !/^\d+(\.\d+)?$/.test(number)) return false;
  const meant = Number(number) * 1000 ** UNITS.indexOf(size.slice(-1));
  return Math.abs(meant - parameters) > Math.floor((7 * parameters) / 8);
}

function markSize(part: Part, parameters: number): void {
  const size = sizeText(part.text);
  const off = isOff(size, parameters);
  part.text = off ? size.slice(0, -1) + size.slice(-1).toLowerCase() : size;
  part.kinds.add(off ? "finetune" : "size");
}

function mark(part: Part, isFirst: boolean, parameters: number): void {
  if (VERSION.test(part.text)) part.kinds.add("version");
  else if (TYPE.test(part.text)) {
    part.kinds.add("type");
    part.text = part.text.toUpperCase();
  } else if (!isFirst && SIZE.test(part.text)) markSize(part, parameters);
  else if (!isFirst && FINETUNE.test(part.text)) part.kinds.add("finetune");
}

const sizesOf = (parts: readonly Part[]): readonly Part[] => parts.filter(({ kinds }) => kinds.has("size"));

/** Sizes in words count only where there are none in numbers. */
function dropWords(parts: readonly Part[]): void {
  const sizes = sizesOf(parts);
  if (!sizes.some(({ text }) => /\d/.test(text))) return;
  for (const { text, kinds } of sizes) if (/^\p{L}+$/u.test(text)) kinds.delete("size");
}

/** The base name is what the name begins with; other parts without a kind are a finetune. */
function markNames(parts: readonly Part[]): void {
  let atStart = true;
  for (const { text, kinds } of parts) {
    atStart &&= (kinds.size === 0 && /^\p{L}/u.test(text)) || kinds.has("version");
    if (atStart) kinds.add("basename");
    else if (kinds.size === 0) kinds.add("finetune");
  }
  for (const { kinds } of [...parts].reverse()) {
    if (!kinds.has("basename") || kinds.size === 1) break;
    kinds.delete("basename");
  }
}

function joined(parts: readonly Part[], wanted: (kinds: ReadonlySet<Kind>) => boolean): string | undefined {
  const found = parts.filter(({ kinds }) => wanted(kinds)).map(({ text }) => text);
  return found.length === 0 ? undefined : found.join("-");
}

const present = (id: { readonly [K in keyof ModelId]: string | undefined }): ModelId =>
  Object.fromEntries(Object.entries(id).filter(([, value]) => value !== undefined));

/** The parts of a model's name, with or without an organization; `parameters` tells sizes from context lengths, 0 trusts all. */
export function modelId(id: string, parameters: number): ModelId {
  if (id.includes(" ")) return { name: id };
  const slash = id.indexOf("/");
  const organization = slash < 0 || id.startsWith(".") ? undefined : id.slice(0, slash);
  const name = id.slice(slash + 1);
  const parts = name.split("-").flatMap((text): readonly Part[] => (text === "" ? [] : [{ text, kinds: new Set() }]));
  for (const [i, part] of parts.entries()) mark(part, i === 0, parameters);
  dropWords(parts);
  markNames(parts);
  const basename = joined(parts, (kinds) => kinds.has("basename"));
  const finetune = joined(parts, (kinds) => kinds.has("finetune"));
  const version = joined(parts, (kinds) => kinds.has("version") && !kinds.has("basename"));
  const sizes = [...new Set(sizesOf(parts).map(({ text }) => text))].join("-");
  const sizeLabel = sizes === "" ? undefined : sizes;
  const isVague = [sizeLabel, finetune, version].every((part) => part === undefined);
  return present({ name, organization, basename: isVague ? undefined : basename, finetune, version, sizeLabel });
}

const isLower = (word: string): boolean => /\p{Ll}/u.test(word) && !/[\p{Lu}\p{Lt}]/u.test(word);
const titled = (word: string): string =>
  word.replaceAll(/\p{L}+/gu, (letters) => {
    const [first = "", ...rest] = letters;
    return first.toUpperCase() + rest.join("").toLowerCase();
  });

/** A name with spaces for hyphens and capital letters, but for versions and words that have capitals already. */
export const titleOf = (name: string): string =>
  name
    .replaceAll("-", " ")
    .split(/\s+/)
    .filter((word) => word !== "")
    .map((word) => (isLower(word) && !/^(v\d+(\.\d+)*|\d.*)$/s.test(word) ? titled(word) : word))
    .join(" ");
