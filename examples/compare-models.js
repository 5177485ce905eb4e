// @ts-check
/**
 * Two models judged by a metric of your own: here the share of characters found when similar ones count as the same.
 *   node examples/compare-models.js REFERENCE.onnx CANDIDATE.onnx
 * On the command line the same function goes into a module for --eval.
 */
import { drawCharacters, memoryDataset } from "fewbit";
import { compare, openModelFile } from "fewbit/node";

const [reference, candidate] = process.argv.slice(2);
if (!reference || !candidate) throw new Error("usage: node examples/compare-models.js REFERENCE.onnx CANDIDATE.onnx");

const { images, labels, classes } = drawCharacters({ seed: 7, count: 300 });
const ALIKE = ["0ODQ", "1I7", "5S", "8B"];
/** @param {string} name */
const group = (name) => ALIKE.find((letters) => letters.includes(name)) ?? name;

/** Higher is better; runs once for each model. @type {import("fewbit").EvalFunction} */
async function lenientAccuracy({ run }) {
  const { logits } = await run({ image: images });
  if (!logits) throw new Error("the model has no output called logits");
  const scores = /** @type {Float32Array} */ (logits.data);
  let right = 0;
  for (let i = 0; i < labels.length; i++) {
    const row = scores.subarray(i * classes.length, (i + 1) * classes.length);
    const best = classes[row.indexOf(Math.max(...row))] ?? "";
    if (group(best) === group(classes[labels[i] ?? 0] ?? "")) right++;
  }
  return right / labels.length;
}

const { model, close } = await openModelFile(reference);
const data = memoryDataset(model, { image: images }, "300 drawn images");
await close();

const report = await compare({ reference, candidate, evaluation: { data, labels, evaluate: lenientAccuracy } });
const { metrics, agreement, size, latency } = report.candidate;
console.log(`own metric: ${metrics.eval?.before.toFixed(3)} -> ${metrics.eval?.after.toFixed(3)}`);
console.log(`top-1:      ${metrics.top1?.before.toFixed(3)} -> ${metrics.top1?.after.toFixed(3)}`);
console.log(`agreement:  ${agreement?.toFixed(3)}`);
console.log(`${size.ratio.toFixed(2)}x smaller, ${latency?.ratio.toFixed(2)}x faster`);
