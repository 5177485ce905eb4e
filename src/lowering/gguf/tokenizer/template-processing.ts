/** What a tokenizer.json puts around a text: which special tokens begin, part and end it (`SpecialVocab` of llama.cpp). */
import { isJsonObject, type Json } from "../../../containers/json.ts";
import { listAt, objectAt, textAt } from "../folder.ts";

/** Kinds of special tokens. */
export type Role =
  | "bos"
  | "eos"
  | "unk"
  | "sep"
  | "pad"
  | "cls"
  | "mask"
  | "eot"
  | "eom"
  | "prefix"
  | "suffix"
  | "middle";

/** What is known so far; the steps below change it in place. */
export interface SpecialState {
  /** tokenizer_config.json, with what follows from tokenizer.json; undefined where there is none, or nothing in it. */
  readonly config: Map<string, Json> | undefined;
  /** Whether tokens of a kind are put around texts. */
  readonly adds: Map<Role, boolean>;
  /** Kinds that are looked for. */
  readonly roles: Role[];
  bos: Json | undefined;
  cls: Json | undefined;
  eos: Json | undefined;
  sep: Json | undefined;
}

const FIRST_ROLES = ["bos", "cls", "eos", "sep"] as const;

/** The beginning: begin and end stand for class and separator tokens where only those are named. */
export function startState(
  tokenizerConfig: ReadonlyMap<string, Json> | undefined,
  roles: readonly Role[],
): SpecialState {
  const config = tokenizerConfig === undefined || tokenizerConfig.size === 0 ? undefined : new Map(tokenizerConfig);
  const [bos, cls, eos, sep] = FIRST_ROLES.map((role) => config?.get(`${role}_token`));
  const state: SpecialState = { config, adds: new Map(), roles: [...roles], bos, cls, eos, sep };
  if (!bos && cls) setToken(state, "bos", cls);
  if (!eos && sep) setToken(state, "eos", sep);
  return state;
}

function setToken(state: SpecialState, role: (typeof FIRST_ROLES)[number], token: Json | undefined): void {
  state[role] = token;
  state.config?.set(`${role}_token`, token ?? null);
}

const specialAt = (step: Json | undefined): string | undefined => textAt(objectAt(step, "SpecialToken"), "id");
const sequenceAt = (step: Json | undefined): string | undefined => textAt(objectAt(step, "Sequence"), "id");

/** RoBERTa's kind puts all of them around a text. */
function roberta(state: SpecialState, processor: Json): void {
  for (const role of ["bos", "eos", "sep"] as const) state.adds.set(role, true);
  if (state.config === undefined) return;
  if (!state.cls) setToken(state, "cls", listAt(processor, "cls")?.[0] ?? state.bos);
  if (!state.sep) setToken(state, "sep", listAt(processor, "sep")?.[0] ?? state.eos);
}

function first(state: SpecialState, token: string): void {
  if (state.config === undefined) state.bos = token;
  else if (token !== state.bos && token !== state.cls) {
    if (!state.bos) setToken(state, "bos", token);
    if (!state.cls) setToken(state, "cls", token);
  }
  state.adds.set("bos", token === state.bos || token === state.cls);
}

/** An end other than the one that tokenizer_config.json names: that one ends a turn or a message then. */
function last(state: SpecialState, token: string): void {
  if (state.config === undefined) state.eos = token;
  else if (token !== state.eos) {
    const free = (["eot", "eom"] as const).find((role) => !state.roles.includes(role));
    if (free !== undefined) {
      state.roles.push(free);
      state.config.set(`${free}_token`, state.eos ?? null);
    }
    setToken(state, "eos", token);
  }
  state.adds.set("eos", token === state.eos);
}

/** What stands between two texts. */
function between(state: SpecialState, pair: readonly Json[], begin: string | undefined, end: string | undefined): void {
  const from = begin && specialAt(pair[0]) === begin ? 1 : 0;
  const to = end && specialAt(pair.at(-1)) === end ? pair.length - 1 : pair.length;
  const inner = pair.slice(from, to);
  const middle = inner.slice(1, -1);
  if (sequenceAt(inner[0]) !== "A" || sequenceAt(inner.at(-1)) !== "B" || middle.length === 0) return;
  const separates = (token: string | undefined): boolean => !!token && (token === state.sep || token === state.eos);
  const adds = (separates(specialAt(middle[0])) && !end) || (middle.length === 2 && separates(specialAt(middle[1])));
  state.adds.set("sep", adds);
  if (adds && !state.sep) state.config?.set("sep_token", state.eos ?? null);
}

function template(state: SpecialState, processor: Json): void {
  const single = listAt(processor, "single") ?? [];
  const [begin, end] = single.length > 1 ? [specialAt(single[0]), specialAt(single.at(-1))] : [];
  if (begin) first(state, begin);
  if (end) last(state, end);
  const pair = listAt(processor, "pair") ?? [];
  if (pair.length > 0) between(state, pair, begin, end);
}

const PROCESSORS: Readonly<Record<string, (state: SpecialState, processor: Json) => void>> = {
  RobertaProcessing: roberta,
  TemplateProcessing: template,
};

/** Reads the post-processor of a tokenizer.json. */
export function readPostProcessor(state: SpecialState, tokenizer: Json): void {
  const found = objectAt(tokenizer, "post_processor");
  if (found === undefined) return;
  for (const processor of listAt(found, "processors") ?? [found]) {
    const type = textAt(processor, "type") ?? "";
    if (isJsonObject(processor) && Object.hasOwn(PROCESSORS, type)) PROCESSORS[type]!(state, processor);
  }
}
