/** fewbit demo: the whole way on a model and images the project made itself. */
import { fileURLToPath } from "node:url";
import { memoryArray } from "../containers/data-arrays.ts";
import { rowsDataset } from "../containers/data-rows.ts";
import { valueInfo } from "../ir/build.ts";
import { type Characters, drawCharacters } from "../pipeline/demo/draw.ts";
import type { Hooks } from "../pipeline/progress.ts";
import type { QuantizeReport } from "../pipeline/result.ts";
import { quantizeFile } from "./quantize.ts";
import type { DemoRequest } from "./requests.ts";

const MODEL = fileURLToPath(new URL("../../demo/characters.onnx", import.meta.url));
const SCHEMES = ["w8a8", "w8a8-dynamic", "w8", "w4", "fp16"];
/** Other seeds than those of the training images. */
const CALIBRATION = { seed: 20_001, count: 256 };
const TEST = { seed: 30_001, count: 2000 };

const dataset = ({ images }: Characters, origin: string) => {
  const input = valueInfo("image", "float32", ["batch", ...images.shape.slice(1)]);
  return rowsDataset([{ input, array: memoryArray(images, origin) }], origin);
};

/** Quantizes the model that comes with fewbit in several ways, with images drawn for it here. */
export async function runDemo({ output, command, ...engine }: DemoRequest, hooks: Hooks): Promise<QuantizeReport> {
  const step = hooks.progress.step("drawing images");
  const [calibration, test] = [drawCharacters(CALIBRATION), drawCharacters(TEST)];
  step.done(`${CALIBRATION.count} to calibrate, ${TEST.count} to test`);
  const request = {
    ...engine,
    model: MODEL,
    schemes: SCHEMES,
    keep: [],
    output,
    force: false,
    embeddings: false,
    command,
  };
  const samples = {
    calibration: { data: dataset(calibration, "drawn images"), random: false },
    evaluation: { data: dataset(test, "other drawn images"), labels: test.labels, metrics: [] },
  };
  return quantizeFile(request, hooks, { samples });
}
