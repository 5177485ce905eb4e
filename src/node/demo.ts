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
import type { Candidate, QuantizeReport, TrainingSummary } from "../pipeline/result.ts";
import { type LowPrecisionMade, lowPrecision } from "../pipeline/train/low-precision.ts";
import { type QatHost, type QatInput, type QatMade, qat } from "../pipeline/train/qat.ts";
import { trainingSummary } from "../pipeline/train/summary.ts";
import type { SingleLoss } from "../train/losses.ts";
import { type GivenSamples, type Maker, quantizeFile } from "./quantize.ts";
import type { DemoRequest, QuantizeRequest } from "./requests.ts";
import { startTrainWorker } from "./train-worker.ts";

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

/** How long a scheme is trained, in steps, the highest rate, and the part of it that scales learn with. */
interface Course {
  readonly steps: number;
  readonly rate: number;
  readonly scaleRate?: number;
}

/** Coarser grids take longer; the scales of finer ones are nearly right from the start. */
const AWARE: Readonly<Record<string, Course>> = {
  w8a8: { steps: 20, rate: 1e-4, scaleRate: 0.2 },
  w4a4: { steps: 150, rate: 5e-3, scaleRate: 0.2 },
  w2a2: { steps: 240, rate: 5e-3 },
};
/** The same for training in integers, which goes on from the float weights. */
const INTEGER: typeof AWARE = {
  w8a8: { steps: 30, rate: 2e-4 },
  w4a8: { steps: 60, rate: 5e-4 },
  w2a8: { steps: 140, rate: 2e-3 },
};
const BATCH = 64;

/** Fresh images, each seen once. */
const trainingOf = ({ steps, rate, scaleRate }: Course) => ({
  ...{ data: drawnData(TRAINING_SEED, steps * BATCH), epochs: 1, batch: BATCH, seed: 1 },
  schedule: { kind: "cosine", rate, warmup: 10 } as const,
  ...(scaleRate !== undefined && { scaleRate }),
});

/** What the report says of a training. */
function summaryOf(mode: string, loss: string, rate: number, losses: Float32Array): TrainingSummary {
  const samples = losses.length * BATCH;
  const data = { origin: "freshly drawn images", samples, random: false };
  const settings = { optimizer: "adam", schedule: `cosine from ${rate}`, epochs: 1, batch: BATCH, seed: 1 };
  return trainingSummary({ mode, data, loss, ...settings }, losses);
}

/** A maker that trains in a thread of its own, and remembers how it went, by scheme. */
interface Trainer {
  readonly make: Maker;
  readonly summaries: ReadonlyMap<string, TrainingSummary>;
}

type Train = (host: QatHost, input: QatInput, hooks: Hooks) => Promise<QatMade | LowPrecisionMade>;

function trainer(mode: string, loss: SingleLoss, settings: typeof AWARE, train: Train): Trainer {
  const summaries = new Map<string, TrainingSummary>();
  const make: Maker = async (host, input, hooks) => {
    const { name } = input.recipe.scheme;
    const own = settings[name]!;
    await using worker = startTrainWorker(host.engine, host.threads);
    const apart = { ...host, background: worker.engine, loop: worker.loop };
    const made = await train(apart, { ...input, training: { ...trainingOf(own), loss } }, hooks);
    summaries.set(name, summaryOf(mode, loss.kind, own.rate, made.losses));
    return made;
  };
  return { make, summaries };
}

/** One way to make models of some schemes. */
interface Technique {
  /** Behind the scheme's name in tables. */
  readonly suffix: string;
  /** Below the demo's folder. */
  readonly folder: string;
  readonly schemes: readonly string[];
  readonly trainer?: Trainer;
}

/** The first learns from the answers of the float model, the second from labels, with integer products both ways. */
const techniques = (): readonly Technique[] => [
  { suffix: "", folder: "", schemes: ["w8a8", "w4a8", "w4a4", "w2a8", "w2a2", "w8", "w4", "fp16"] },
  {
    suffix: " QAT",
    folder: "qat",
    schemes: Object.keys(AWARE),
    trainer: trainer("qat", { kind: "distillation", temperature: 4 }, AWARE, qat),
  },
  {
    ...{ suffix: " in int8", folder: "low-precision", schemes: Object.keys(INTEGER) },
    trainer: trainer("low-precision", { kind: "cross-entropy" }, INTEGER, lowPrecision),
  },
];

/** One technique's part of the report. */
interface Part {
  readonly technique: Technique;
  readonly report: QuantizeReport;
}

function labelled({ suffix, folder, trainer: own }: Technique, candidate: Candidate): Candidate {
  const training = own?.summaries.get(candidate.scheme);
  const inFolder = (name: string) => (folder === "" ? name : `${folder}/${name}`);
  return {
    ...candidate,
    scheme: `${candidate.scheme}${suffix}`,
    files: candidate.files.map((file) => ({ ...file, name: inFolder(file.name) })),
    ...(training && { training }),
  };
}

/** Ways to the same scheme next to each other, in the order of the first technique. */
function sideBySide(parts: readonly Part[]): readonly Candidate[] {
  const order = parts[0]!.technique.schemes;
  const place = ({ scheme }: Candidate) => order.indexOf(scheme.split(" ")[0]!);
  const all = parts.flatMap(({ technique, report }) => report.candidates.map((each) => labelled(technique, each)));
  return all.sort((a, b) => place(a) - place(b));
}

function together(parts: readonly Part[]): QuantizeReport {
  const { recommended: _, ...first } = parts[0]!.report;
  const candidates = sideBySide(parts);
  const best = recommend(candidates, false);
  const refused = parts.flatMap(({ technique, report }) =>
    report.refused.map((each) => ({ ...each, scheme: `${each.scheme}${technique.suffix}` })),
  );
  const seconds = parts.reduce((sum, { report }) => sum + report.seconds, 0);
  return { ...first, candidates, refused, seconds, ...(best && { recommended: best }) };
}

/** Makes the model that comes with fewbit smaller in several ways, with images drawn for it here. */
export async function runDemo({ output, command, ...engine }: DemoRequest, hooks: Hooks): Promise<QuantizeReport> {
  const step = hooks.progress.step("drawing images");
  const samples = drawSamples();
  step.done(`${CALIBRATION.count} to calibrate, ${TEST.count} to test`);
  const request = { ...engine, model: MODEL, keep: [], force: false, embeddings: false, command };
  const parts: Part[] = [];
  for (const technique of techniques()) {
    const { folder, schemes, trainer: own } = technique;
    const wish: QuantizeRequest = { ...request, schemes, output: join(output, folder) };
    const report = await quantizeFile(wish, hooks, { samples, ...(own && { make: own.make }) });
    parts.push({ technique, report });
  }
  return together(parts);
}
