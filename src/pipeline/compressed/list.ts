/** The schemes of safetensors, and what each would make of a model. */
import type { TensorFile } from "../../ir/tensor-file.ts";
import { FewbitError } from "../../numeric/errors.ts";
import { COMPRESSED_SCHEMES, type CompressedScheme } from "../../recipes/compressed-tensors.ts";
import type { SchemeSummary } from "../result.ts";
import { bitsPerWeight } from "../weights/bits.ts";
import { planCompressed } from "./plan.ts";

function fitting(file: TensorFile, scheme: CompressedScheme): Partial<SchemeSummary> & Pick<SchemeSummary, "fits"> {
  try {
    const { tensors, size } = planCompressed(file, scheme);
    const fallbacks = tensors.filter(({ insteadOf }) => insteadOf !== undefined).length;
    return { fits: true, bytes: size, bitsPerWeight: bitsPerWeight(tensors), fallbacks };
  } catch (error) {
    if (error instanceof FewbitError) return { fits: false, reason: error.message };
    throw error;
  }
}

/** All schemes of safetensors; with a model also whether each fits, the exact size, and how many rows fit no group. */
export const listCompressed = (file?: TensorFile): readonly SchemeSummary[] =>
  COMPRESSED_SCHEMES.map((scheme) => ({
    ...({ name: scheme.name, container: "safetensors", summary: scheme.summary, needsData: false } as const),
    ...(file && fitting(file, scheme)),
  }));
