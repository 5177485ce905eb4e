/** Recipes of GGUF: file types, and what each tensor becomes in them. */
export {
  type Choice,
  type ChooseOptions,
  chooseTypes,
  decidedTypes,
  isFree,
  type NamedShape,
  needsImportance,
  type TypeOverride,
  tensorOrder,
} from "./choose.ts";
export { FILE_TYPE_NAMES, FILE_TYPES, type FileType, type FileTypeName, fileTypeNamed } from "./file-types.ts";
export { ggmlShape } from "./kept.ts";
export type { ModelFacts } from "./site.ts";
export { candidateTypes, errorWeights, nearestFileType, type TensorKind } from "./target.ts";
