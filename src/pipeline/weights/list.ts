/** The file types of GGUF as schemes, and what each would make of a model. */
import type { TensorFile } from "../../ir/tensor-file.ts";
import { elementCount } from "../../numeric/dtypes.ts";
import { FewbitError } from "../../numeric/errors.ts";
import { isBlockType } from "../../numeric/ggml-types.ts";
import {
  chooseTypes,
  FILE_TYPES,
  type FileType,
  type FileTypeName,
  needsImportance,
} from "../../recipes/ggml/index.ts";
import type { SchemeSummary } from "../result.ts";
import { bitsPerWeight } from "./bits.ts";
import { factsOf } from "./facts.ts";
import { orderedTensors, planChoices, type TensorPlan, type WeightsPlan } from "./plan.ts";

const NAMES = Object.keys(FILE_TYPES) as FileTypeName[];

function summaryOf({ type, rules }: FileType): string {
  const mixed = Object.keys(rules).length > 0;
  return `weights in ggml's ${type}${mixed ? ", other types where more counts" : ""}`;
}

/** "q4_k 81 %, q6_k 19 %": how the values of the matrices are stored. */
function mixOf(tensors: readonly TensorPlan[]): string {
  const counts = new Map<string, number>();
  const encoded = tensors.filter(({ format }) => format !== undefined);
  for (const { to, shape } of encoded) counts.set(to, (counts.get(to) ?? 0) + elementCount(shape));
  if (counts.size === 0) return "all tensors as they are";
  const all = [...counts.values()].reduce((sum, each) => sum + each, 0);
  const sorted = [...counts].sort(([, a], [, b]) => b - a);
  return sorted.map(([type, own]) => `${type} ${Math.max(1, Math.round((100 * own) / all))} %`).join(", ");
}

const wantsImportance =
  (name: FileTypeName) =>
  ({ name: tensor, format }: TensorPlan): boolean =>
    format !== undefined && needsImportance(name, tensor, format);

function planOf(file: TensorFile, name: FileTypeName, hasImportance: boolean): WeightsPlan {
  const choices = chooseTypes(name, orderedTensors(file), factsOf(file, hasImportance));
  return planChoices(file, name, choices, {});
}

/** With importance rules choose other types, so files that need it are planned as if there were some. */
function fitting(file: TensorFile, name: FileTypeName): Partial<SchemeSummary> & Pick<SchemeSummary, "fits"> {
  const without = planOf(file, name, false);
  const needs = without.tensors.some(wantsImportance(name));
  const { tensors, size } = needs ? planOf(file, name, true) : without;
  const twice = tensors.find(({ missing, from }) => missing !== undefined && isBlockType(from));
  if (twice !== undefined) return { fits: false, reason: `tensor "${twice.name}": ${twice.missing}` };
  return {
    ...{ fits: true, needsImportance: needs, bytes: size, bitsPerWeight: bitsPerWeight(tensors) },
    ...{ fallbacks: tensors.filter(({ insteadOf }) => insteadOf !== undefined).length, summary: mixOf(tensors) },
  };
}

function fittingOrNot(file: TensorFile, name: FileTypeName): Partial<SchemeSummary> & Pick<SchemeSummary, "fits"> {
  try {
    return fitting(file, name);
  } catch (error) {
    if (error instanceof FewbitError) return { fits: false, reason: error.message };
    throw error;
  }
}

/**
 * All file types; with a GGUF model also whether each fits, the exact size (without the four keys that an importance
 * matrix adds), how its values are stored, and how many tensors get another type because of their rows.
 */
export const listFileTypes = (file?: TensorFile): readonly SchemeSummary[] =>
  NAMES.map((name) => ({
    name,
    container: "gguf" as const,
    summary: summaryOf(FILE_TYPES[name]),
    needsData: false,
    ...(file && fittingOrNot(file, name)),
  }));
