/** What rules of file types ask of a model, from GGUF's metadata. */
import { type MetadataValue, numberOf, type TensorFile, textOf } from "../../ir/tensor-file.ts";
import { fail } from "../../numeric/errors.ts";
import type { ModelFacts } from "../../recipes/ggml/index.ts";

/** A number, or the first of an array with one for each layer. */
function firstNumber(value: MetadataValue | undefined): number | undefined {
  if (value === undefined || value.type === "string" || value.type === "bool") return undefined;
  if (value.type !== "array") return Number(value.value);
  const [first] = value.of === "string" || value.of === "array" ? [] : value.value;
  return first === undefined ? undefined : Number(first);
}

/** Facts of a model. Fails with code "format" where the metadata does not say what kind of model it is. */
export function factsOf(file: TensorFile, hasImportance: boolean): ModelFacts {
  const architecture = textOf(file, "general.architecture");
  if (architecture === undefined)
    return fail("format", `gguf: "general.architecture" is missing, so the tensors' roles are not known; use --pure`);
  const heads = firstNumber(file.metadata.get(`${architecture}.attention.head_count`)) ?? 0;
  const keyHeads = firstNumber(file.metadata.get(`${architecture}.attention.head_count_kv`)) ?? heads;
  const layers = numberOf(file, `${architecture}.block_count`) ?? 0;
  const experts = numberOf(file, `${architecture}.expert_count`) ?? 0;
  return {
    architecture,
    layers,
    experts: experts > 1 ? experts : 0,
    queriesPerKey: keyHeads === 0 ? 0 : Math.floor(heads / keyHeads),
    is70b: architecture === "llama" && layers === 80 && heads !== keyHeads,
    hasImportance,
    isTied: !file.tensors.has("output.weight"),
  };
}

/** For `pure`, which asks for nothing. */
export const NO_FACTS: ModelFacts = {
  ...{ architecture: "", layers: 0, experts: 0, queriesPerKey: 0 },
  ...{ is70b: false, hasImportance: false, isTied: true },
};
