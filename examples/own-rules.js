// @ts-check
/**
 * Your own decisions: rules that say which nodes get which scheme, and an observer that fewbit does not have.
 *   node examples/own-rules.js
 * A plan is plain data, so a range that is written into it wins over the named observer.
 */
import { fileURLToPath } from "node:url";
import {
  calibratePlan,
  DTYPES,
  drawCharacters,
  memoryDataset,
  observedValues,
  observerNamed,
  parseRecipe,
  plainRecipe,
  planFor,
  quantize,
  schemeNamed,
} from "fewbit";
import { nodeHost, openModelFile, writeModel } from "fewbit/node";

/**
 * Four standard deviations around zero, within what was seen. The histogram holds them approximately.
 * @type {import("fewbit").Observer}
 */
const fourSigma = {
  name: "four-sigma",
  summary: "four standard deviations around zero",
  range({ histogram, min, max, count }) {
    if (!histogram) return [0, 0];
    const { counts, exponent } = histogram;
    const width = 2 ** (exponent + 1) / counts.length;
    let squares = 0;
    for (let i = 0; i < counts.length; i++) squares += (counts[i] ?? 0) * ((i + 0.5) * width - 2 ** exponent) ** 2;
    const wide = 4 * Math.sqrt(squares / count);
    return [Math.max(Math.min(min, 0), -wide), Math.min(Math.max(max, 0), wide)];
  },
};

const path = fileURLToPath(new URL("../demo/characters.onnx", import.meta.url));
const source = await openModelFile(path);
const host = await nodeHost({ threads: 1 }, AbortSignal.timeout(60_000));
const data = memoryDataset(source.model, { image: drawCharacters({ seed: 1, count: 64 }).images });

// the same text as in a file for --recipe
const { rules } = parseRecipe(
  `{ "rules": [
    { "match": { "op": ["Gemm"] }, "scheme": "keep", "reason": "the last layer decides" }
  ] }`,
  "own-rules.js",
);
const { prepared, plan } = await planFor(source.model, { ...plainRecipe(schemeNamed("w8a8")), rules }, host);
for (const { node, op, reason } of plan.kept) console.log(`kept: ${node} (${op}): ${reason}`);

const stats = await calibratePlan(host, prepared, plan, data);
const observed = observedValues(plan);
const values = plan.values.map((value) => {
  const seen = stats.values[value.value];
  if (!seen || !observed.includes(value.value)) return value;
  const row = DTYPES[value.scheme.dtype];
  const [low, high] = observerNamed("mse").range(seen, row, value.scheme.symmetric);
  const range = fourSigma.range(seen, row, value.scheme.symmetric);
  console.log(
    `${value.value}: mse [${low.toFixed(2)}, ${high.toFixed(2)}], four-sigma [${range.map((x) => x.toFixed(2)).join(", ")}]`,
  );
  return { ...value, observer: fourSigma.name, range };
});
const { model } = await quantize(prepared, { ...plan, values }, stats);
const [written] = await writeModel(model, process.argv[2] ?? "characters.own.onnx");
await source.close();
console.log(`wrote ${written?.size} bytes`);
