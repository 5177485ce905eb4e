// @ts-check
/** Quantizes a GGUF model in the page: read from the chosen file in parts, written as a Blob in parts. */
import { encodeGguf, planTarget, planWeights, quantizeWeights, readGguf } from "fewbit";
import { blobSource, outputBlob } from "fewbit/web";

/** What the page offers for GGUF: a file type, or bits for each weight. */
export const GGUF_CHOICES = ["q4_k_m", "q8_0", "4.5 bits", "6.5 bits"];

/**
 * @param {Blob} file
 * @param {string} choice
 * @param {string} name
 */
export async function quantizeGguf(file, choice, name) {
  const model = await readGguf(blobSource(file));
  const bits = Number.parseFloat(choice);
  const plan = choice.endsWith(" bits")
    ? await planTarget(model, { bitsPerWeight: bits })
    : planWeights(model, /** @type {import("fewbit").FileTypeName} */ (choice));
  const quantized = await quantizeWeights(model, plan);
  const [output] = encodeGguf(quantized.file, { name });
  if (output === undefined) throw new Error("GGUF is written as at least one file");
  return { plan, blob: await outputBlob(output) };
}
