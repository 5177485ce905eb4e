/** Two real TFLite models in full integers against the float ones and TensorFlow's int8 ones. The data is not in the repository. */
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { readNpy, writeNpy } from "../src/containers/npy.ts";
import { inNumbers } from "../src/engines/numbers.ts";
import type { NDArray } from "../src/ir/model.ts";
import { bytesSource } from "../src/ir/source.ts";
import { availableEngines } from "../src/node/engines.ts";
import { quantized } from "./e2e/cli.case.ts";

const DATA = resolve(import.meta.dirname, "../../shared/data");
const tiny = (name: string): string => join(DATA, "mlperf-tiny", name);
const cifar = (name: string): string => join(DATA, "cifar10", `${name}.npy`);

const missing = [tiny("resnet8_float.tflite"), tiny("ad01_spectrogram.npy"), cifar("test_images")].find(
  (path) => !existsSync(path),
);
if (missing !== undefined) console.log(`skipped: TFLite models of MLPerf Tiny in integers: no ${missing}`);

function workspace(): string {
  const folder = mkdtempSync(join(tmpdir(), "fewbit-tflite-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** TensorFlow's own int8 model: 87.47 % of the 846 images, 97.64 % as the float model has it, 98,496 bytes. */
const REFERENCE_BYTES = 98_496;
/** 738 of 846 images: two fewer than TensorFlow's, with a standard error of ten. */
const LEAST_TOP1 = 0.8727;
const LEAST_AGREEMENT = 0.9764;
/** Calibration ranges settle early; the promise is about them, not about how many images were at hand. */
const CALIBRATION = 300;

/** The first images, in a file of their own: `--samples` would take fewer to judge on too. */
async function firstImages(folder: string): Promise<string> {
  const { dtype, shape, data } = await readNpy(bytesSource(readFileSync(cifar("calib_images"))), "calib_images");
  const path = join(folder, "calibration.npy");
  const size = data.length / shape[0]!;
  writeFileSync(
    path,
    writeNpy({
      dtype,
      shape: [CALIBRATION, ...shape.slice(1)],
      data: (data as Uint8Array).slice(0, CALIBRATION * size),
    }),
  );
  return path;
}

test.skipIf(missing !== undefined)("ResNet-8 in integers is as good and as small as TensorFlow's", async () => {
  const folder = workspace();
  const judged = ["--data", cifar("test_images"), "--labels", cifar("test_labels"), "--metric", "top1,agreement"];
  const wish = [tiny("resnet8_float.tflite"), "-s", "w8a8", "-c", await firstImages(folder), ...judged];
  const { metrics, size, integerShare } = await quantized([...wish, "-o", join(folder, "int8.tflite")]);
  console.log(
    `ResNet-8: top-1 ${(100 * metrics.top1.after).toFixed(2)} %, agreement ${(100 * metrics.agreement).toFixed(2)} %, ${size.after} bytes`,
  );
  expect(metrics.top1.after).toBeGreaterThanOrEqual(LEAST_TOP1);
  expect(metrics.agreement).toBeGreaterThanOrEqual(LEAST_AGREEMENT);
  expect(size.after).toBeLessThanOrEqual(1.01 * REFERENCE_BYTES);
  expect(size.after).toBe(statSync(join(folder, "int8.tflite")).size);
  expect(integerShare).toBe(1);
});

const FRAMES = 5;

/** Windows of five neighbouring frames of the spectrogram, one sample each. */
async function windows(): Promise<NDArray> {
  const { shape, data } = await readNpy(bytesSource(readFileSync(tiny("ad01_spectrogram.npy"))), "spectrogram");
  const [frames, bands] = shape as [number, number];
  const [count, length] = [frames - FRAMES + 1, FRAMES * bands];
  const out = new Float32Array(count * length);
  for (let i = 0; i < count; i++) out.set((data as Float32Array).subarray(i * bands, i * bands + length), i * length);
  return { dtype: "float32", shape: [count, length], data: out };
}

/** The anomaly score: mean squared error of the reconstruction. */
async function score(path: string, samples: NDArray): Promise<number> {
  const session = await inNumbers((await availableEngines({ container: "tflite" })).engine).open({ path });
  const [input, output] = [session.inputs[0]!.name, session.outputs[0]!.name];
  const { data } = (await session.run({ [input]: samples }))[output]!;
  await session.close();
  const made = data as Float32Array;
  return made.reduce((sum, value, i) => sum + (value - (samples.data[i] as number)) ** 2, 0) / made.length;
}

test.skipIf(missing !== undefined)("the autoencoder in integers scores closer to float than TensorFlow's", async () => {
  const folder = workspace();
  const samples = await windows();
  const data = join(folder, "windows.npy");
  writeFileSync(data, writeNpy(samples));
  const made = join(folder, "int8.tflite");
  await quantized([tiny("ad01_float.tflite"), "-s", "w8a8", "-c", data, "-o", made]);
  const float = await score(tiny("ad01_float.tflite"), samples);
  const [theirs, ours] = [await score(tiny("ad01_int8.tflite"), samples), await score(made, samples)];
  console.log(
    `autoencoder: float ${float.toFixed(3)}, TensorFlow's int8 ${theirs.toFixed(3)}, ours ${ours.toFixed(3)}`,
  );
  expect(Math.abs(ours - float)).toBeLessThan(Math.abs(theirs - float));
});
