// @ts-check
/**
 * A model file in several schemes, with a report that compares them.
 *   node examples/quantize-file.js [OUT_FOLDER]
 * Samples come from memory here; with files it is `calibration: "samples.npy"` and
 * `evaluation: { data: "test.npy", labels: "labels.npy" }`.
 */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { drawCharacters, memoryDataset, renderHtml } from "fewbit";
import { openModelFile, quantize, writeText } from "fewbit/node";

const path = fileURLToPath(new URL("../demo/characters.onnx", import.meta.url));
const folder = process.argv[2] ?? "out";

const { model, close } = await openModelFile(path);
const seen = drawCharacters({ seed: 1, count: 128 });
const unseen = drawCharacters({ seed: 2, count: 500 });
const calibration = memoryDataset(model, { image: seen.images }, "128 drawn images");
const data = memoryDataset(model, { image: unseen.images }, "500 others");
await close();

const report = await quantize({
  model: path,
  schemes: ["w8a8", "w4"],
  calibration,
  evaluation: { data, labels: unseen.labels },
  output: folder,
});
for (const { scheme, size, latency, metrics } of report.candidates) {
  const top1 = metrics.top1?.after ?? Number.NaN;
  console.log(
    `${scheme}: ${size.ratio.toFixed(2)}x smaller, ${latency?.ratio.toFixed(2)}x faster, top-1 ${(100 * top1).toFixed(1)} %`,
  );
}
if (report.recommended) console.log(`take ${report.recommended.scheme}: ${report.recommended.reason}`);
await writeText(join(folder, "report.html"), await renderHtml(report));
console.log(`report: ${join(folder, "report.html")}`);
