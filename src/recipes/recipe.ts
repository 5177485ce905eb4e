/** A recipe: one scheme for the model and ordered rules for some of its nodes; the last rule that matches wins. */
import type { Place } from "../ir/plan.ts";
import { fail } from "../numeric/errors.ts";
import type { NamedScheme } from "./named-scheme.ts";
import { checkSchemeName } from "./schemes.ts";

/** All given conditions must hold. */
export interface Match {
  /** Op types, for example ["Conv", "Gemm"]. */
  readonly op?: readonly string[];
  /** Exact node names. */
  readonly node?: readonly string[];
  /** Regular expression over the node's name, its scope in front when it is in a sub-graph. */
  readonly pattern?: string;
  /** The first and the last layer: nodes of the main graph that read weights. */
  readonly ends?: true;
}

/** Nodes that match get this scheme. */
export interface Rule {
  readonly match: Match;
  /** Name of a scheme, or "keep" to leave the nodes as they are. */
  readonly scheme: string;
  readonly reason?: string;
}

/** All that a plan is made from besides the model. */
export interface Recipe {
  readonly scheme: NamedScheme;
  readonly rules: readonly Rule[];
  /** The user's settings (group size, symmetry, ...) applied to the schemes that rules name. */
  readonly tune: (scheme: NamedScheme) => NamedScheme;
  readonly observer: string;
  /** There are no samples: in a model that came with Q/DQ pairs, values without one stay in float. */
  readonly onlyGiven?: boolean;
}

const MAX_RULES = 10_000;
const MAX_PATTERN = 500;

const fullName = (place: Place): string => (place.scope === "" ? place.node : `${place.scope}/${place.node}`);

function matches({ op, node, pattern, ends }: Match, place: Place, isEnd: boolean): boolean {
  if (ends && !isEnd) return false;
  if (op !== undefined && !op.includes(place.op)) return false;
  if (node !== undefined && !node.includes(place.node)) return false;
  return pattern === undefined || new RegExp(pattern).test(fullName(place));
}

/** The rule for a node, with the reason to print; undefined where the recipe's own scheme holds. `isEnd`: it is the first or the last layer. */
export function ruleFor(
  recipe: Recipe,
  place: Place,
  isEnd: boolean,
): (Rule & { readonly reason: string }) | undefined {
  const rule = recipe.rules.findLast(({ match }) => matches(match, place, isEnd));
  return rule && { ...rule, reason: rule.reason ?? "kept as asked" };
}

/** A scheme as it is, without rules. */
export const plainRecipe = (scheme: NamedScheme): Recipe => ({
  scheme,
  rules: [],
  tune: (other) => other,
  observer: DEFAULT_OBSERVER,
});

/** Smallest expected error; robust against single outliers, where min-max gives the grid away. */
export const DEFAULT_OBSERVER = "mse";

function checkedPattern(text: string, where: string): string {
  if (text.length > MAX_PATTERN)
    fail("usage", `${where}: a pattern of ${text.length} characters; at most ${MAX_PATTERN} are allowed`);
  try {
    new RegExp(text);
    return text;
  } catch (cause) {
    return fail("usage", `${where}: "${text}" is not a regular expression (${(cause as Error).message})`, cause);
  }
}

/** What `--recipe FILE` holds: `{ "scheme": "w8a8", "rules": [{ "match": { "op": ["Gemm"] }, "scheme": "keep" }] }`. */
export function parseRecipe(
  text: string,
  where: string,
): { readonly scheme?: string; readonly rules: readonly Rule[] } {
  const json = parseJson(text, where);
  if (!isRecord(json)) fail("usage", `${where}: expected an object with "rules", found ${describe(json)}`);
  unknownKeys(json, ["$schema", "scheme", "rules"], where);
  const rules = json.rules ?? [];
  if (!Array.isArray(rules) || rules.length > MAX_RULES)
    fail("usage", `${where}: "rules" must be a list of at most ${MAX_RULES} rules`);
  const scheme = optionalText(json.scheme, `${where}: "scheme"`);
  if (scheme !== undefined) checkSchemeName(scheme);
  return {
    ...(scheme === undefined ? {} : { scheme }),
    rules: rules.map((rule, index) => parseRule(rule, `${where}: rules[${index}]`)),
  };
}

function parseRule(json: unknown, where: string): Rule {
  if (!isRecord(json) || !isRecord(json.match))
    return fail("usage", `${where}: expected { "match": {..}, "scheme": ".." }`);
  unknownKeys(json, ["match", "scheme", "reason"], where);
  unknownKeys(json.match, ["op", "node", "pattern", "ends"], `${where}.match`);
  const scheme = optionalText(json.scheme, `${where}.scheme`) ?? "";
  if (scheme !== "keep") checkSchemeName(scheme);
  const { op, node, ends } = json.match;
  if (ends !== undefined && ends !== true)
    fail("usage", `${where}.match.ends: expected true, or leave it out; found ${describe(ends)}`);
  const pattern = optionalText(json.match.pattern, `${where}.match.pattern`);
  const reason = optionalText(json.reason, `${where}.reason`);
  return {
    match: {
      ...(op === undefined ? {} : { op: strings(op, `${where}.match.op`) }),
      ...(node === undefined ? {} : { node: strings(node, `${where}.match.node`) }),
      ...(pattern === undefined ? {} : { pattern: checkedPattern(pattern, `${where}.match.pattern`) }),
      ...(ends && { ends }),
    },
    scheme,
    ...(reason === undefined ? {} : { reason }),
  };
}

const isRecord = (json: unknown): json is Record<string, unknown> =>
  typeof json === "object" && json !== null && !Array.isArray(json);
const describe = (json: unknown): string =>
  Array.isArray(json) ? "a list" : json === null ? "null" : `a ${typeof json}`;

function parseJson(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    return fail("usage", `${where}: not JSON (${(cause as Error).message})`, cause);
  }
}

function strings(json: unknown, where: string): readonly string[] {
  const list = typeof json === "string" ? [json] : json;
  if (!Array.isArray(list) || !list.every((item) => typeof item === "string"))
    return fail("usage", `${where}: expected a name or a list of names`);
  return list;
}

function optionalText(json: unknown, where: string): string | undefined {
  if (json === undefined || typeof json === "string") return json;
  return fail("usage", `${where}: expected a text, found ${describe(json)}`);
}

function unknownKeys(json: Record<string, unknown>, known: readonly string[], where: string): void {
  const unknown = Object.keys(json).find((key) => !known.includes(key));
  if (unknown !== undefined) fail("usage", `${where}: unknown key "${unknown}"; known are ${known.join(", ")}`);
}
