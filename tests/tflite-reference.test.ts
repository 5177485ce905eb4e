/** The reference against the runtime: every value of every layer. The models' data is not in the repository. */
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { readNpy } from "../src/containers/npy.ts";
import { bytesOfFile } from "../src/containers/onnx/roundtrip.case.ts";
import { encodeTflite, readTflite } from "../src/containers/tflite/index.ts";
import type { Engine, Session } from "../src/engines/contract.ts";
import { openLitert } from "../src/engines/litert.ts";
import { withTaps } from "../src/engines/taps.ts";
import { layerCases } from "../src/engines/tflite-layers.case.ts";
import { randomData } from "../src/engines/tflite-layers-build.case.ts";
import { referenceSession } from "../src/engines/tflite-reference.ts";
import type { Feeds, Model, NDArray, TypedArray } from "../src/ir/model.ts";
import { bytesSource } from "../src/ir/source.ts";
import { loadLitert, readTfliteFile } from "../src/node/litert.ts";
import { elementCount } from "../src/numeric/dtypes.ts";

const DATA = resolve(import.meta.dirname, "../../shared/data");
const SAMPLES = 20;

let shared: Promise<Engine> | undefined;

async function started(): Promise<Engine> {
  const { engine, reason } = await openLitert({ load: loadLitert, readModel: readTfliteFile });
  if (engine === undefined) throw new Error(reason);
  return engine;
}

const litert = (): Promise<Engine> => {
  shared ??= started();
  return shared;
};

/** Both sessions on the same model, all inner values among the outputs unless told. */
async function both(model: Model, tapped = true): Promise<readonly [Session, Session]> {
  const inner = tapped ? model.graph.nodes.flatMap((node) => node.outputs.filter((name) => name !== "")) : [];
  const bytes = await bytesOfFile(encodeTflite(withTaps(model, inner)).main);
  return [await (await litert()).open({ bytes }), await referenceSession(await readTflite(bytesSource(bytes)))];
}

function unequal(a: TypedArray, b: TypedArray): number {
  let count = 0;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) count++;
  return count;
}

/** Number of values compared, and of those that differ by the name of the value. */
interface Tally {
  values: number;
  readonly differing: Record<string, number>;
}

function compare(
  tally: Tally,
  runtime: Readonly<Record<string, NDArray>>,
  ours: Readonly<Record<string, NDArray>>,
): void {
  for (const [name, { data, shape, dtype }] of Object.entries(runtime)) {
    expect({ dtype: ours[name]?.dtype, shape: ours[name]?.shape }, name).toEqual({ dtype, shape });
    const differ = unequal(data, ours[name]!.data);
    tally.values += data.length;
    if (differ > 0) tally.differing[name] = (tally.differing[name] ?? 0) + differ;
  }
}

async function compareRuns(model: Model, runs: readonly Feeds[], tapped = true): Promise<Tally> {
  const [runtime, ours] = await both(model, tapped);
  const tally: Tally = { values: 0, differing: {} };
  for (const feeds of runs) compare(tally, await runtime.run(feeds), await ours.run(feeds));
  await runtime.close();
  return tally;
}

const print = (what: string, { values, differing }: Tally): void =>
  console.log(`${what}: ${values} values compared, ${Object.values(differing).reduce((a, b) => a + b, 0)} differ`);

const array = async (path: string): Promise<NDArray> => readNpy(bytesSource(readFileSync(join(DATA, path))), path);

/** Codes of the model's first input, one sample each. */
type Samples = (model: Model) => Promise<readonly TypedArray[]>;

/** Pixels less 128 are the codes of ResNet-8's input. */
const images: Samples = async () => {
  const { data } = await array("cifar10/test_images.npy");
  const size = 32 * 32 * 3;
  return Array.from({ length: SAMPLES }, (_, i) =>
    Int8Array.from(data.subarray(i * size, (i + 1) * size) as Uint8Array, (pixel) => pixel - 128),
  );
};

/** Windows of 5 frames on the grid of the input. */
const windows: Samples = async ({ graph }) => {
  const { data } = await array("mlperf-tiny/ad01_spectrogram.npy");
  const { scale, zeroPoint } = graph.inputs[0]!.quantization!.qparams;
  const code = (x: number): number => Math.min(127, Math.max(-128, Math.round(x / scale[0]!) + zeroPoint[0]!));
  return Array.from({ length: SAMPLES }, (_, i) =>
    Int8Array.from((data as Float32Array).subarray(i * 9 * 128, (i * 9 + 5) * 128), code),
  );
};

/** One run per sample, its open batch 1. */
const feedsOf = ({ graph }: Model, samples: readonly TypedArray[]): readonly Feeds[] => {
  const { name, dtype, shape } = graph.inputs[0]!;
  const lengths = shape!.map((length) => (typeof length === "number" ? length : 1));
  return samples.map((data) => ({ [name]: { dtype: dtype!, shape: lengths, data } }));
};

for (const [name, samples] of Object.entries<Samples>({ resnet8_int8: images, ad01_int8: windows })) {
  const path = join(DATA, `mlperf-tiny/${name}.tflite`);
  const reason = existsSync(path) ? undefined : `no ${path}`;
  if (reason !== undefined) console.log(`skipped: the reference on ${name}: ${reason}`);

  test.skipIf(reason !== undefined)(`every layer of ${name} has the runtime's values`, async () => {
    const model = await readTflite(bytesSource(readFileSync(path)));
    const runs = feedsOf(model, await samples(model));
    const tally = await compareRuns(model, runs);
    print(`${name}, ${model.graph.nodes.length} layers, ${SAMPLES} samples`, tally);
    expect(tally.differing).toEqual({});
    // Without taps the runtime may join layers; its result must not depend on that.
    expect((await compareRuns(model, runs.slice(0, 3), false)).differing).toEqual({});
  });
}

test("layers built in code have the runtime's values, whatever their types, shapes, paddings and scales", async () => {
  const all: Tally = { values: 0, differing: {} };
  const cases = layerCases();
  for (const [index, { name, model }] of cases.entries()) {
    const feeds = (run: number): Feeds =>
      Object.fromEntries(
        model.graph.inputs.map(({ name: input, dtype, shape }, i) => {
          const lengths = shape as readonly number[];
          const data = randomData(dtype!, elementCount(lengths), 1000 * run + 10 * index + i);
          return [input, { dtype: dtype!, shape: lengths, data }];
        }),
      );
    const { values, differing } = await compareRuns(model, [feeds(0), feeds(1)]);
    all.values += values;
    for (const [value, count] of Object.entries(differing)) all.differing[`${name}: ${value}`] = count;
  }
  print(`${cases.length} layers built in code`, all);
  expect(all.differing).toEqual({});
});
