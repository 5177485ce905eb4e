/**
 * Reads, prepares, plans, quantizes and writes, without running the result: what is left of `fewbit quantize` when the
 * measuring is taken away. For comparing with tools that don't measure.
 *   node bench/convert.js SCHEME[:ALGORITHM[:GROUP_SIZE]] MODEL.onnx OUTPUT.onnx
 */
import { openModelFile } from "../dist/node/open-model.js";
import { writeModel } from "../dist/node/write-model.js";
import { planModel } from "../dist/pipeline/plan.js";
import { prepare } from "../dist/pipeline/prepare.js";
import { quantize } from "../dist/pipeline/quantize.js";
import { DEFAULT_OBSERVER } from "../dist/recipes/recipe.js";
import { schemeNamed } from "../dist/recipes/schemes.js";
import { forModel } from "../dist/recipes/transformers-js.js";
import { tune } from "../dist/recipes/tune.js";

const [wish, source, output] = process.argv.slice(2);
if (output === undefined)
  throw new Error("usage: node bench/convert.js SCHEME[:ALGORITHM[:GROUP_SIZE]] MODEL.onnx OUTPUT.onnx");
const [name, algorithm, group] = wish.split(":");
const opened = await openModelFile(source);
const ops = new Set(opened.model.graph.nodes.map(({ op }) => op));
const settings = { embeddings: false, ...(algorithm && { algorithm }), ...(group && { groupSize: Number(group) }) };
const scheme = forModel(tune(schemeNamed(name), settings), { ops });
const { model } = await prepare(opened.model, {}, { static: false, opset: scheme.opset });
const recipe = { scheme, rules: [], tune: (other) => tune(other, settings), observer: DEFAULT_OBSERVER };
await writeModel((await quantize(model, planModel(model, recipe))).model, output);
await opened.close();
