/**
 * The file types of GGUF, `fewbit quantize model.gguf -s NAME`: numbers, types and choices per tensor as llama-quantize
 * of llama.cpp v0.5.0 has them (llama_ftype in llama.h, llama-quant.cpp), so that files come out the same.
 */
import type { GgmlFormatName } from "../../kernels/ggml/index.ts";
import type { Category, Rule, Site } from "./site.ts";

/** One file type. */
export interface FileType {
  /** `general.file_type`. */
  readonly id: number;
  /** What tensors get that no rule speaks of. */
  readonly type: GgmlFormatName;
  readonly rules: Readonly<Partial<Record<Category, Rule>>>;
  /** Below 3 bits: other rules for models with experts, and Q5_K for the output. */
  readonly isTiny?: true;
  /** Other names that llama-quantize takes. */
  readonly alias?: string;
}

const firstEighth = ({ layer, count }: Site): boolean => layer < Math.floor(count / 8);
const firstSixteenth = ({ layer, count }: Site): boolean => layer < Math.floor(count / 16);
const inMiddle = (site: Site): boolean => !firstEighth(site) && site.layer < Math.floor((7 * site.count) / 8);

/** The first and last eighth of the layers, and every third between. */
function deservesMore({ layer, count }: Site): boolean {
  const eighth = Math.floor(count / 8);
  return layer < eighth || layer >= Math.floor((7 * count) / 8) || (layer - eighth) % 3 === 2;
}

const isFalcon = ({ architecture }: Site): boolean => architecture === "falcon";
const sharesHeads = ({ queriesPerKey }: Site): boolean => queriesPerKey >= 4;

/** `type` where the condition holds. */
const where =
  (holds: (site: Site) => boolean, type: GgmlFormatName, otherwise?: GgmlFormatName): Rule =>
  (site) =>
    holds(site) ? type : otherwise;

/** With eight experts the matrices behind attention are a small part of the model. */
const eightExperts =
  (otherwise?: GgmlFormatName): Rule =>
  (site) =>
    isFalcon(site) ? undefined : site.experts === 8 ? "q5_k" : otherwise;

const tinyValue =
  (otherwise: GgmlFormatName): Rule =>
  (site) =>
    sharesHeads(site) || site.experts >= 4 ? "q4_k" : otherwise;

/** Rules of the types below 3 bits: `more` where it counts, `behind` attention. */
const tiny = (more: GgmlFormatName, embedding: GgmlFormatName, behind?: GgmlFormatName) => ({
  embedding,
  value: tinyValue(more),
  key: where(({ experts }) => experts === 8, "q4_k"),
  down: where(firstEighth, more),
  attention: where(({ experts }) => experts === 8, "q5_k", behind),
});

const iq4 = {
  value: where(sharesHeads, "q5_k"),
  down: where((site) => firstEighth(site) && !site.hasImportance, "q5_k"),
  attention: eightExperts(),
} as const;

/** The first layers go wrong in 4 and 5 bits without a minimum, whatever the importance says. */
const guarded = (type: GgmlFormatName) => ({
  down: where((site) => site.hasImportance && firstEighth(site), type),
});

const threeBitsLarge: Rule = (site) => (isFalcon(site) ? "q4_k" : site.experts === 8 ? undefined : "q5_k");

const middle: Rule = where(inMiddle, "iq3_xxs");

/** By llama.cpp's name in lower case. */
export const FILE_TYPES = {
  f32: { id: 0, type: "f32", rules: {} },
  f16: { id: 1, type: "f16", rules: {} },
  bf16: { id: 32, type: "bf16", rules: {} },
  q8_0: { id: 7, type: "q8_0", rules: {} },
  q6_k: { id: 18, type: "q6_k", rules: {} },
  q5_1: { id: 9, type: "q5_1", rules: {} },
  q5_0: { id: 8, type: "q5_0", rules: guarded("q5_1") },
  q5_k_m: {
    id: 17,
    type: "q5_k",
    alias: "q5_k",
    rules: { value: where(deservesMore, "q6_k"), down: where(deservesMore, "q6_k") },
  },
  q5_k_s: { id: 16, type: "q5_k", rules: {} },
  q4_1: { id: 3, type: "q4_1", rules: {} },
  q4_0: { id: 2, type: "q4_0", rules: guarded("q4_1") },
  q4_k_m: {
    id: 15,
    type: "q4_k",
    alias: "q4_k",
    rules: {
      value: where(deservesMore, "q6_k"),
      down: (site) => {
        if (!isFalcon(site)) return deservesMore(site) ? "q6_k" : undefined;
        return firstSixteenth(site) ? "q6_k" : deservesMore(site) ? "q5_k" : "q4_k";
      },
      attention: eightExperts(),
    },
  },
  q4_k_s: {
    id: 14,
    type: "q4_k",
    rules: {
      value: where(({ layer }) => layer < 4, "q5_k"),
      down: where((site) => !isFalcon(site) && firstEighth(site), "q5_k"),
      attention: eightExperts(),
    },
  },
  iq4_nl: { id: 25, type: "iq4_nl", rules: iq4 },
  iq4_xs: { id: 30, type: "iq4_xs", rules: iq4 },
  mxfp4_moe: { id: 38, type: "mxfp4", rules: {} },
  q3_k_l: {
    id: 13,
    type: "q3_k",
    rules: { value: "q5_k", down: where(isFalcon, "q4_k", "q5_k"), attention: threeBitsLarge },
  },
  q3_k_m: {
    id: 12,
    type: "q3_k",
    alias: "q3_k",
    rules: {
      value: where(({ layer }) => layer < 2, "q5_k", "q4_k"),
      down: (site) => (firstSixteenth(site) ? "q5_k" : !isFalcon(site) || deservesMore(site) ? "q4_k" : "q3_k"),
      attention: eightExperts("q4_k"),
    },
  },
  q3_k_s: { id: 11, type: "q3_k", rules: { attention: eightExperts() } },
  iq3_m: {
    id: 27,
    type: "iq3_s",
    rules: {
      value: "q4_k",
      down: where((site) => firstEighth(site) || (site.experts === 8 && deservesMore(site)), "q4_k"),
      attention: eightExperts("q4_k"),
    },
  },
  iq3_s: { id: 26, type: "iq3_s", rules: { value: where(sharesHeads, "q4_k"), attention: eightExperts() } },
  iq3_xs: {
    id: 22,
    type: "iq3_s",
    rules: {
      value: where(sharesHeads, "q4_k"),
      key: "iq3_xxs",
      query: "iq3_xxs",
      attention: eightExperts(),
      gate: middle,
      up: middle,
    },
  },
  iq3_xxs: {
    id: 23,
    type: "iq3_xxs",
    rules: {
      embedding: "iq3_s",
      output: "q5_k",
      value: (site) => (sharesHeads(site) ? "q4_k" : site.hasImportance ? "iq3_xxs" : "iq3_s"),
      key: "iq2_s",
      query: "iq2_s",
      down: (site) => (site.hasImportance ? undefined : firstEighth(site) ? "q4_k" : "q3_k"),
      attention: eightExperts("iq3_s"),
    },
  },
  q2_k: {
    id: 10,
    type: "q2_k",
    rules: { value: where(sharesHeads, "q4_k", "q3_k"), down: "q3_k", attention: eightExperts("q3_k") },
  },
  q2_k_s: { id: 21, type: "q2_k", rules: { value: where(sharesHeads, "q4_k"), down: where(firstEighth, "q4_k") } },
  iq2_m: { id: 29, type: "iq2_s", isTiny: true, rules: tiny("iq3_s", "iq3_s", "iq3_s") },
  iq2_s: { id: 28, type: "iq2_xs", isTiny: true, rules: tiny("iq3_s", "iq3_s", "iq3_s") },
  iq2_xs: { id: 20, type: "iq2_xs", isTiny: true, rules: tiny("q2_k", "q2_k") },
  iq2_xxs: { id: 19, type: "iq2_xxs", isTiny: true, rules: tiny("q2_k", "q2_k") },
  q2_0: { id: 41, type: "q2_0", rules: { embedding: "q4_k" } },
  tq2_0: { id: 37, type: "tq2_0", rules: { embedding: "q4_k" } },
  tq1_0: { id: 36, type: "tq1_0", rules: { embedding: "q4_k" } },
  iq1_m: { id: 31, type: "iq1_m", isTiny: true, rules: tiny("q2_k", "q2_k", "iq2_xxs") },
  iq1_s: { id: 24, type: "iq1_s", isTiny: true, rules: tiny("q2_k", "q2_k", "iq2_xxs") },
  q1_0: { id: 40, type: "q1_0", rules: {} },
} as const satisfies Readonly<Record<string, FileType>>;

/** Names of the file types. */
export type FileTypeName = keyof typeof FILE_TYPES;

const ALIASES = new Map<string, FileTypeName>(
  Object.entries(FILE_TYPES).flatMap(([name, row]) => ("alias" in row ? [[row.alias, name as FileTypeName]] : [])),
);

/** All names that `-s` takes for GGUF, aliases last. */
export const FILE_TYPE_NAMES: readonly string[] = [...Object.keys(FILE_TYPES), ...ALIASES.keys()];

/** The file type of a name or an alias; undefined for others. */
export function fileTypeNamed(name: string): FileTypeName | undefined {
  return Object.hasOwn(FILE_TYPES, name) ? (name as FileTypeName) : ALIASES.get(name);
}
