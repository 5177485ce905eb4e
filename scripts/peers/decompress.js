/**
 * A folder that fewbit quantized back as floats: `node scripts/peers/decompress.js FOLDER OUT.safetensors`. Decodes by the
 * convention alone, without the package compressed-tensors, so that scripts/peers/compressed-tensors.py can compare the two.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";

const { readForm } = await import("../../dist/containers/compressed-tensors/index.js");
const { parseJson } = await import("../../dist/containers/json.js");
const { decompress } = await import("../../dist/pipeline/compressed/index.js");
const { openWeights } = await import("../../dist/node/open-weights.js");
const { writeWeights } = await import("../../dist/node/write-weights.js");

const [folder, output] = process.argv.slice(2);
if (folder === undefined || output === undefined) throw new Error("usage: decompress.js FOLDER OUT.safetensors");
const limits = { where: "config.json", depth: 20, values: 100_000 };
const config = parseJson(readFileSync(join(folder, "config.json"), "utf8"), limits);
const opened = await openWeights(folder);
try {
  await writeWeights(await decompress(opened.weights, readForm(config.get("quantization_config"))), output);
} finally {
  await opened.close();
}
