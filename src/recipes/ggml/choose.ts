/** Which type each tensor of a GGUF model gets: llama-quantize's choices, with what overrides them. */
import { GGML_FORMATS, type GgmlFormatName } from "../../kernels/ggml/index.ts";
import { fail } from "../../numeric/errors.ts";
import { FILE_TYPES, type FileType, type FileTypeName } from "./file-types.ts";
import { keptBecause } from "./kept.ts";
import { type Category, categoryOf, layerOf, type ModelFacts, type Rule, type Site } from "./site.ts";

/** A tensor as the rules see it. `shape` has the length of a row last. */
export interface NamedShape {
  readonly name: string;
  readonly shape: readonly number[];
}

/** Tensors whose names match get this type; the first that matches wins. */
export interface TypeOverride {
  readonly pattern: RegExp;
  readonly type: GgmlFormatName;
}

/** What is decided beside the file type. */
export interface ChooseOptions {
  readonly overrides?: readonly TypeOverride[];
  /** Tensors that stay as they are. */
  readonly keep?: readonly RegExp[];
  /** Every tensor the type of the file, as far as it fits. */
  readonly pure?: boolean;
}

/** A choice for one tensor, and why. */
export interface Choice {
  /** Absent where the tensor stays as it is. */
  readonly type?: GgmlFormatName;
  readonly reason: string;
  /** The type that was wanted, where rows are no multiple of its block. */
  readonly insteadOf?: GgmlFormatName;
}

/** Blocks that take the place of those of 256 and 64, where rows are shorter; the rest becomes f16. */
const FALLBACKS: Partial<Record<GgmlFormatName, GgmlFormatName>> = {
  ...{ iq1_s: "iq4_nl", iq1_m: "iq4_nl", iq2_xxs: "iq4_nl", iq2_xs: "iq4_nl", iq2_s: "iq4_nl" },
  ...{ iq3_xxs: "iq4_nl", iq3_s: "iq4_nl", iq4_xs: "iq4_nl" },
  ...{ q2_0: "q4_0", q2_k: "q4_0", q3_k: "q4_0", tq1_0: "q4_0", tq2_0: "q4_0" },
  ...{ q4_k: "q5_0", q5_k: "q5_1", q6_k: "q8_0" },
};

/** Types of blocks up to this have nothing smaller to fall back on but f16. */
const SMALL_BLOCK = 32;

function fitting({ name, shape }: NamedShape, choice: Choice): Choice {
  const { type } = choice;
  const columns = shape.at(-1) ?? 1;
  if (type === undefined || columns % GGML_FORMATS[type].block === 0) return choice;
  const { block } = GGML_FORMATS[type];
  const next = FALLBACKS[type] ?? (block <= SMALL_BLOCK ? type : undefined);
  if (next === undefined)
    return fail(
      "unsupported",
      `tensor "${name}": rows of ${columns} values are no multiple of the ${block} of a ${type} block, and no type stands in for it; choose another with --tensor-type`,
    );
  const fits = columns % GGML_FORMATS[next].block === 0 ? next : "f16";
  const reason = `rows of ${columns} values are no multiple of the ${block} of a ${type} block`;
  return { type: fits, reason, insteadOf: type };
}

/** How far the tensors of each category were counted; of those that rules decided on. */
type Counters = Map<Category, number>;

/** Number of the tensor in its category: in models with experts that of its layer, since their tensors may lie anywhere. */
function layerFor(name: string, category: Category, row: FileType, facts: ModelFacts, counters: Counters): number {
  const counted = counters.get(category) ?? 0;
  counters.set(category, counted + 1);
  const isLayered = category === "down" || category === "gate" || category === "up";
  if (!isLayered || facts.experts < 2 || row.isTiny) return counted;
  const layer = layerOf(name);
  if (layer !== undefined && layer < facts.layers) return layer;
  return fail(
    "format",
    `tensor "${name}": its name has no number of a layer below ${facts.layers}, so its type can't be chosen; use --tensor-type for it`,
  );
}

const apply = (rule: Rule | undefined, site: Site): GgmlFormatName | undefined =>
  typeof rule === "function" ? rule(site) : rule;

/** The output matrix, and embeddings that serve as one. */
function outputType(row: FileType, columns: number, { architecture }: ModelFacts): GgmlFormatName {
  if (architecture === "falcon" || columns % GGML_FORMATS[row.type].block !== 0 || row.type === "mxfp4") return "q8_0";
  if (row.isTiny) return "q5_k";
  return row.rules.output === "q5_k" ? "q5_k" : row.type === "q8_0" ? "q8_0" : "q6_k";
}

const FFN: ReadonlySet<Category> = new Set(["up", "gate", "down"]);

/** MXFP4 is for experts, which lie in tensors of three dimensions; all else becomes Q8_0. */
function expertType({ shape }: NamedShape, category: Category, { architecture }: ModelFacts): GgmlFormatName {
  const isExpert = (shape.at(-3) ?? 1) > 1 && (architecture !== "bailingmoe3" || FFN.has(category));
  return isExpert ? "mxfp4" : "q8_0";
}

/** What holds for `value` and `key` beside the rules of a row that is not tiny. */
function adjusted(
  type: GgmlFormatName,
  category: Category,
  row: FileType,
  { experts, is70b }: ModelFacts,
): GgmlFormatName {
  if (row.isTiny || (category !== "value" && category !== "key")) return type;
  if (experts === 8) return "q8_0";
  return is70b && category === "value" && (type === "q3_k" || type === "q4_k") ? "q5_k" : type;
}

function ruled(
  tensor: NamedShape,
  row: FileType,
  facts: ModelFacts,
  count: (category: Category) => number,
  counters: Counters,
) {
  const category = categoryOf(tensor.name);
  if (category === "output" || (facts.isTied && category === "embedding"))
    return outputType(row, tensor.shape.at(-1) ?? 1, facts);
  if (row.type === "mxfp4") return expertType(tensor, category, facts);
  const layer = layerFor(tensor.name, category, row, facts, counters);
  const site: Site = { ...facts, layer, count: count(category) };
  return adjusted(apply(row.rules[category], site) ?? row.type, category, row, facts);
}

const wordsOf: { readonly [C in Category]: string } = {
  output: "the output matrix",
  embedding: "embeddings",
  value: "attention's values",
  key: "attention's keys",
  query: "attention's queries",
  attention: "attention's output",
  up: "the way up",
  gate: "gates",
  down: "the way down",
  other: "other matrices",
};

/** Throws where an override or a rule to keep tensors matches nothing that can be quantized. */
function checkUsed(options: ChooseOptions, tensors: readonly NamedShape[]): void {
  const free = tensors.filter(({ name, shape }) => keptBecause(name, shape) === undefined);
  const unused = (pattern: RegExp) => !free.some(({ name }) => pattern.test(name));
  const override = options.overrides?.find(({ pattern }) => unused(pattern));
  if (override !== undefined)
    fail(
      "usage",
      `--tensor-type ${override.pattern.source}=${override.type} matches no tensor that can be quantized; see fewbit inspect for the names`,
    );
  const keep = options.keep?.find(unused);
  if (keep !== undefined)
    fail("usage", `--keep ${keep.source} matches no tensor that would be quantized; see fewbit inspect for the names`);
}

/** What holds for a tensor before any rule: it can't be quantized, is kept, or has a type of its own. */
function decidedFor({ name, shape }: NamedShape, { keep, overrides }: ChooseOptions): Choice | undefined {
  const kept = keptBecause(name, shape);
  if (kept !== undefined) return { reason: kept };
  if (keep?.some((pattern) => pattern.test(name))) return { reason: "--keep" };
  const override = overrides?.find(({ pattern }) => pattern.test(name));
  return override && { type: override.type, reason: `--tensor-type ${override.pattern.source}` };
}

/**
 * What is decided on tensors beside a file type, in the order given; undefined where a type is still to be found. Fails
 * as `chooseTypes` does.
 */
export function decidedTypes(tensors: readonly NamedShape[], options: ChooseOptions): readonly (Choice | undefined)[] {
  checkUsed(options, tensors);
  return tensors.map((tensor) => {
    const decided = decidedFor(tensor, options);
    return decided && fitting(tensor, decided);
  });
}

/**
 * Types of all tensors, in the order given: llama.cpp counts layers in the order of its files, see `tensorOrder`. Fails
 * with code "usage" for overrides that match nothing, "unsupported" where no type fits.
 */
export function chooseTypes(
  name: FileTypeName,
  tensors: readonly NamedShape[],
  facts: ModelFacts,
  options: ChooseOptions = {},
): readonly Choice[] {
  const row: FileType = FILE_TYPES[name];
  const counters: Counters = new Map();
  const values = tensors.filter((tensor) => categoryOf(tensor.name) === "value").length;
  const count = (category: Category): number => (category === "value" ? values : facts.layers);
  checkUsed(options, tensors);
  const isPlain = GGML_FORMATS[row.type].block === 1;

  const choose = (tensor: NamedShape): Choice => {
    const decided = decidedFor(tensor, options);
    if (decided !== undefined) return decided;
    if (isPlain || options.pure) return { type: row.type, reason: `type of ${name}` };
    const type = ruled(tensor, row, facts, count, counters);
    const reason = type === row.type ? `type of ${name}` : `${name} for ${wordsOf[categoryOf(tensor.name)]}`;
    return { type, reason };
  };
  return tensors.map((tensor) => fitting(tensor, choose(tensor)));
}

/** The order of llama-quantize's files: by layer, then by name, as bytes. */
export function tensorOrder(a: NamedShape, b: NamedShape): number {
  const layers = (layerOf(a.name) ?? -1) - (layerOf(b.name) ?? -1);
  return layers !== 0 ? layers : compareBytes(a.name, b.name);
}

const encoder = new TextEncoder();

function compareBytes(a: string, b: string): number {
  const [x, y] = [encoder.encode(a), encoder.encode(b)];
  const at = x.findIndex((byte, i) => byte !== y[i]);
  return at < 0 ? x.length - y.length : (x[at] ?? -1) - (y[at] ?? -1);
}

/** Whether llama-quantize wants importance for a tensor of this type in a file of this one. */
export function needsImportance(file: FileTypeName, tensor: string, type: GgmlFormatName): boolean {
  const use = GGML_FORMATS[type].importance;
  if (use === "required") return true;
  if (isFree(tensor)) return false;
  return use === "demanded" || (file === "q2_k_s" && type === "q2_k");
}

/** Tensors that do without importance where others need it. */
export const isFree = (tensor: string): boolean => {
  const category = categoryOf(tensor);
  return category === "output" || category === "embedding";
};
