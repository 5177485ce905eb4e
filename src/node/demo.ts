/** fewbit demo: several ways to fewer bits, on a model and images the project made itself. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { memoryArray } from "../containers/data-arrays.ts";
import { rowsDataset } from "../containers/data-rows.ts";
import { valueInfo } from "../ir/build.ts";
import { recommend } from "../pipeline/contract.ts";
import { drawnData } from "../pipeline/demo/data.ts";
import { type Characters, drawCharacters } from "../pipeline/demo/draw.ts";
import type { Hooks } from "../pipeline/progress.ts";
import type { Candidate, QuantizeReport } from "../pipeline/result.ts";
import { lowPrecision } from "../pipeline/train/low-precision.ts";
import { qat } from "../pipeline/train/qat.ts";
import { type GivenSamples, type Maker, quantizeFile } from "./quantize.ts";
import type { DemoRequest, QuantizeRequest } from "./requests.ts";

const MODEL = fileURLToPath(new URL("../../demo/characters.onnx", import.meta.url));
/** Other seeds than those of the images the model was trained on, and far enough apart for those between. */
const CALIBRATION = { seed: 20_001, count: 256 };
const TEST = { seed: 30_001, count: 2000 };
const TRAINING_SEED = 100_000;

const dataset = ({ images }: Characters, origin: string) => {
  const input = valueInfo("image", "float32", ["batch", ...images.shape.slice(1)]);
  return rowsDataset([{ input, array: memoryArray(images, origin) }], origin);
};

function drawSamples(): GivenSamples {
  const [calibration, test] = [drawCharacters(CALIBRATION), drawCharacters(TEST)];
  return {
    calibration: { data: dataset(calibration, "drawn images"), random: false },
    evaluation: { data: dataset(test, "other drawn images"), labels: test.labels, metrics: [] },
  };
}

/** How long the grids of a scheme are trained, in steps, and the highest rate: coarser ones take longer. */
const AWARE: Readonly<Record<string, { readonly steps: number; readonly rate: number }>> = {
  w8a8: { steps: 30, rate: 2e-4 },
  w4a4: { steps: 100, rate: 1e-3 },
  w2a2: { steps: 240, rate: 2e-3 },
};
/** The same for training in integers, which goes on from the float weights. */
const INTEGER: typeof AWARE = {
  w8a8: { steps: 40, rate: 2e-4 },
  w4a8: { steps: 80, rate: 5e-4 },
  w2a8: { steps: 160, rate: 2e-3 },
};
const BATCH = 64;

/** Fresh images, each seen once. */
const trainingOf = ({ steps, rate }: (typeof AWARE)[string]) => ({
  ...{ data: drawnData(TRAINING_SEED, steps * BATCH), epochs: 1, batch: BATCH, seed: 1 },
  schedule: { kind: "cosine", rate, warmup: 10 } as const,
});

/** Trains towards the answers of the float model: no label is read. */
const aware: Maker = (host, input, hooks) =>
  qat(host, { ...input, training: trainingOf(AWARE[input.recipe.scheme.name]!) }, hooks);

/** Trains towards the labels, with products of 8-bit integers forward and backward. */
const integer: Maker = (host, input, hooks) =>
  lowPrecision(host, { ...input, training: trainingOf(INTEGER[input.recipe.scheme.name]!) }, hooks);

/** One way to make models of some schemes. */
interface Technique {
  /** Behind the scheme's name in tables. */
  readonly suffix: string;
  /** Below the demo's folder. */
  readonly folder: string;
  readonly schemes: readonly string[];
  readonly make?: Maker;
}

const TECHNIQUES: readonly Technique[] = [
  { suffix: "", folder: "", schemes: ["w8a8", "w4a8", "w4a4", "w2a8", "w2a2", "w8", "w4", "fp16"] },
  { suffix: " QAT", folder: "qat", schemes: Object.keys(AWARE), make: aware },
  { suffix: " low-precision", folder: "low-precision", schemes: Object.keys(INTEGER), make: integer },
];

const labelled = ({ suffix, folder }: Technique, candidate: Candidate): Candidate => ({
  ...candidate,
  scheme: `${candidate.scheme}${suffix}`,
  files: candidate.files.map((file) => ({ ...file, name: folder === "" ? file.name : `${folder}/${file.name}` })),
});

/** Ways to the same scheme next to each other, in the order of the first. */
function sideBySide(reports: readonly QuantizeReport[]): readonly Candidate[] {
  const order = TECHNIQUES[0]!.schemes;
  const place = ({ scheme }: Candidate) => order.indexOf(scheme.split(" ")[0]!);
  const all = reports.flatMap(({ candidates }, at) => candidates.map((each) => labelled(TECHNIQUES[at]!, each)));
  return all.sort((a, b) => place(a) - place(b));
}

function together(reports: readonly QuantizeReport[]): QuantizeReport {
  const [{ recommended: _, ...first }] = reports as readonly [QuantizeReport];
  const candidates = sideBySide(reports);
  const best = recommend(candidates, false);
  const refused = reports.flatMap((report, at) =>
    report.refused.map((each) => ({ ...each, scheme: `${each.scheme}${TECHNIQUES[at]!.suffix}` })),
  );
  const seconds = reports.reduce((sum, report) => sum + report.seconds, 0);
  return { ...first, candidates, refused, seconds, ...(best && { recommended: best }) };
}

/** Makes the model that comes with fewbit smaller in several ways, with images drawn for it here. */
export async function runDemo({ output, command, ...engine }: DemoRequest, hooks: Hooks): Promise<QuantizeReport> {
  const step = hooks.progress.step("drawing images");
  const samples = drawSamples();
  step.done(`${CALIBRATION.count} to calibrate, ${TEST.count} to test`);
  const request = { ...engine, model: MODEL, keep: [], force: false, embeddings: false, command };
  const reports: QuantizeReport[] = [];
  for (const { folder, schemes, make } of TECHNIQUES) {
    const own: QuantizeRequest = { ...request, schemes, output: join(output, folder) };
    reports.push(await quantizeFile(own, hooks, { samples, ...(make && { make }) }));
  }
  return together(reports);
}
