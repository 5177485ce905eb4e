/** A real classifier below 8 bits: what the file, the integer share and the accuracy are. The data is not in the repository. */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { fewbitJson, type Json } from "./e2e/cli.case.ts";

const DATA = resolve(import.meta.dirname, "../../shared/data");
const MODEL = join(DATA, "mlperf-tiny/resnet8.onnx");
const cifar = (name: string): string => join(DATA, "cifar10", `${name}.npy`);

const reason =
  existsSync(MODEL) && existsSync(cifar("test_images")) ? undefined : `no ${MODEL} or no CIFAR-10 beside it`;
if (reason !== undefined) console.log(`skipped: ResNet-8 below 8 bits: ${reason}`);

/** Measured 88.3, 85.0 and 82.7 percent of 846 images; four standard errors (1.1 to 1.3 points) below. */
const LEAST_TOP1: Readonly<Record<string, number>> = { w8a8: 0.84, w4a8: 0.8, w4a4: 0.775 };
/** 1, 1/2 or 1/4 byte a weight, and 12 kB of scales, biases and graph. */
const LEAST_RATIO: Readonly<Record<string, number>> = { w8a8: 3.4, w4a8: 5.8, w4a4: 5.7, w2a2: 9, "w1.58a8": 9.2 };

const AVERAGE_FIRST = { QLinearConv: 9, QLinearAdd: 3, QGemm: 1 };
/** Below 8 bits for values the classifier is a 1x1 convolution (the pass average-last). */
const AVERAGE_LAST = { QLinearConv: 10, QLinearAdd: 3 };

test.skipIf(reason !== undefined)("ResNet-8 runs in integers at 8, 4, 2 bits and ternary", async () => {
  const out = mkdtempSync(join(tmpdir(), "fewbit-resnet8-"));
  onTestFinished(() => rmSync(out, { recursive: true, force: true }));
  const schemes = Object.keys(LEAST_RATIO);
  const data = ["-c", cifar("calib_images"), "--data", cifar("test_images"), "--labels", cifar("test_labels")];
  const { json } = await fewbitJson(["quantize", MODEL, "-s", schemes.join(","), ...data, "-o", out, "--no-report"]);
  expect(json.candidates.map(({ scheme }: Json) => scheme)).toEqual(schemes);
  for (const { scheme, size, integerShare, metrics, opHistogram } of json.candidates) {
    console.log(
      `${scheme}: ${(100 * metrics.top1.after).toFixed(2)} %, ${size.after} bytes, ${size.ratio.toFixed(2)}x`,
    );
    expect(integerShare, scheme).toBe(1);
    expect(opHistogram.after, scheme).toMatchObject(scheme.endsWith("a8") ? AVERAGE_FIRST : AVERAGE_LAST);
    expect(size.ratio, scheme).toBeGreaterThan(LEAST_RATIO[scheme]!);
    expect(metrics.top1.after, scheme).toBeGreaterThanOrEqual(LEAST_TOP1[scheme] ?? 0);
  }
});
