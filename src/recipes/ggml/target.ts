/** What types compete for a tensor when a file is to have a size, `--target-bpw` and `--target-size`. */
import { GGML_FORMATS, type GgmlFormatName } from "../../kernels/ggml/index.ts";
import { type NamedShape, needsImportance } from "./choose.ts";
import { FILE_TYPES, type FileTypeName } from "./file-types.ts";
import { keptBecause } from "./kept.ts";
import { type Category, categoryOf, layerOf } from "./site.ts";

/** What decides on a tensor's candidates. */
export interface TensorKind {
  readonly name: string;
  /** Values of a row. */
  readonly columns: number;
  readonly hasImportance: boolean;
}

/** Types of ggml's super-blocks that are good for their size; at equal size Q4_0 and its like lose more. */
const SUPER_BLOCKS: readonly GgmlFormatName[] = [
  ...(["iq1_s", "iq1_m", "iq2_xxs", "iq2_xs", "iq2_s", "q2_k", "iq3_xxs"] as const),
  ...(["iq3_s", "q3_k", "iq4_xs", "q4_k", "q5_k", "q6_k"] as const),
];
/** For rows that super-blocks don't fit. */
const SMALL_BLOCKS: readonly GgmlFormatName[] = ["iq4_nl", "q4_0", "q4_1", "q5_0", "q5_1"];
const LARGE: readonly GgmlFormatName[] = ["q8_0", "f16"];

/** A file type of another's rules, where importance is only asked for by the types themselves. */
const PLAIN: FileTypeName = "f16";

/** Types that a tensor may get: those given, or all that are worth it; none where the rows fit no block of them. */
export function candidateTypes(
  { name, columns, hasImportance }: TensorKind,
  given?: readonly GgmlFormatName[],
): readonly GgmlFormatName[] {
  const fits = (type: GgmlFormatName): boolean => columns % GGML_FORMATS[type].block === 0;
  const isFree = (type: GgmlFormatName): boolean => hasImportance || !needsImportance(PLAIN, name, type);
  const own = given?.filter((type) => fits(type) && isFree(type)) ?? [];
  if (own.length > 0) return own;
  const blocks = SUPER_BLOCKS.every(fits) ? SUPER_BLOCKS : SMALL_BLOCKS;
  return [...blocks, ...LARGE].filter((type) => fits(type) && isFree(type));
}

/** What the two uses of tokens count, in shares of all matrices of layers together; a tied table has both. */
const SHARES: Partial<Record<Category, number>> = { embedding: 1 / 4, output: 3 / 4 };

/**
 * What the relative error of each tensor counts: 1 for a matrix of a layer, whatever its size; what turns tokens into
 * values and back as much as all layers together. bench/target-size.js shows what that gains over counting bytes.
 */
export function errorWeights(tensors: readonly NamedShape[]): (tensor: Pick<NamedShape, "name">) => number {
  const isTied = !tensors.some(({ name }) => name === "output.weight");
  const inLayers = tensors.filter(({ name, shape }) => layerOf(name) !== undefined && !keptBecause(name, shape)).length;
  return ({ name }) => {
    const category = categoryOf(name);
    const share = category === "embedding" && isTied ? 1 : SHARES[category];
    return Math.max(1, (share ?? 0) * inLayers);
  };
}

/** What llama.cpp calls a file by its most frequent type. */
const CALLED: Partial<Record<GgmlFormatName, FileTypeName>> = {
  ...{ q2_k: "q2_k", q3_k: "q3_k_m", q4_k: "q4_k_m", q5_k: "q5_k_m", mxfp4: "mxfp4_moe" },
};

/** The file type that a file of mostly this type calls itself. */
export const nearestFileType = (type: GgmlFormatName): FileTypeName =>
  CALLED[type] ?? (Object.hasOwn(FILE_TYPES, type) ? (type as FileTypeName) : "f16");
