/** fewbit demo: several ways to fewer bits, on a model and images the project made itself. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { memoryArray } from "../containers/data-arrays.ts";
import { rowsDataset } from "../containers/data-rows.ts";
import { valueInfo } from "../ir/build.ts";
import { recommend } from "../pipeline/contract.ts";
import { type Characters, drawCharacters } from "../pipeline/demo/draw.ts";
import type { Hooks } from "../pipeline/progress.ts";
import type { Candidate, QuantizeReport } from "../pipeline/result.ts";
import { AWARE, IN_INTEGERS, type Trained, type Training, trainAll, type Way } from "./demo-training.ts";
import { nodeHost } from "./host.ts";
import { type Maker, quantizeFile, recipeFor } from "./quantize.ts";
import { secondsSince } from "./report-head.ts";
import type { DemoRequest, QuantizeRequest } from "./requests.ts";
import { openLegalSource, type SourceModel } from "./surroundings.ts";

const MODEL = fileURLToPath(new URL("../../demo/characters.onnx", import.meta.url));
/** Other seeds than those of the images the model was trained on, and far enough apart for those between. */
const CALIBRATION = { seed: 20_001, count: 256 };
const TEST = { seed: 30_001, count: 2000 };

const dataset = ({ images }: Characters, origin: string) => {
  const input = valueInfo("image", "float32", ["batch", ...images.shape.slice(1)]);
  return rowsDataset([{ input, array: memoryArray(images, origin) }], origin);
};

function drawSamples() {
  const [calibration, test] = [drawCharacters(CALIBRATION), drawCharacters(TEST)];
  return {
    calibration: { data: dataset(calibration, "drawn images"), random: false },
    evaluation: { data: dataset(test, "other drawn images"), labels: test.labels, metrics: [] },
  };
}

type DrawnSamples = ReturnType<typeof drawSamples>;

/** One way to make models of some schemes. */
interface Technique {
  /** Behind the scheme's name in tables. */
  readonly suffix: string;
  /** Below the demo's folder. */
  readonly folder: string;
  readonly schemes: readonly string[];
  readonly way?: Way;
}

const QUANTIZED: Technique = {
  suffix: "",
  folder: "",
  schemes: ["w8a8", "w4a8", "w4a4", "w2a8", "w2a2", "w8", "w4", "fp16"],
};
const TRAINED: readonly (Technique & { readonly way: Way })[] = [
  { suffix: " QAT", folder: "qat", schemes: Object.keys(AWARE.courses), way: AWARE },
  { suffix: " in int8", folder: "low-precision", schemes: Object.keys(IN_INTEGERS.courses), way: IN_INTEGERS },
];

/** One technique's part of the report. */
interface Part {
  readonly technique: Technique;
  readonly report: QuantizeReport;
}

const labelOf = ({ suffix }: Technique, scheme: string): string => `${scheme}${suffix}`;

type AllTrained = ReadonlyMap<string, Trained>;

function labelled(technique: Technique, candidate: Candidate, all: AllTrained): Candidate {
  const { folder } = technique;
  const scheme = labelOf(technique, candidate.scheme);
  const trained = all.get(scheme);
  const inFolder = (name: string) => (folder === "" ? name : `${folder}/${name}`);
  return {
    ...{ ...candidate, scheme },
    files: candidate.files.map((file) => ({ ...file, name: inFolder(file.name) })),
    ...(trained && { training: trained.summary, seconds: trained.seconds + candidate.seconds }),
  };
}

/** Ways to the same scheme next to each other, in the order of the first technique. */
function sorted(candidates: readonly Candidate[]): readonly Candidate[] {
  const place = ({ scheme }: Candidate) => QUANTIZED.schemes.indexOf(scheme.split(" ")[0]!);
  return [...candidates].sort((a, b) => place(a) - place(b));
}

function together(parts: readonly Part[], trained: AllTrained): QuantizeReport {
  const { recommended: _, ...first } = parts[0]!.report;
  const candidates = sorted(
    parts.flatMap(({ technique, report }) => report.candidates.map((each) => labelled(technique, each, trained))),
  );
  const best = recommend(candidates, false);
  const refused = parts.flatMap(({ technique, report }) =>
    report.refused.map((each) => ({ ...each, scheme: labelOf(technique, each.scheme) })),
  );
  return { ...first, candidates, refused, ...(best && { recommended: best }) };
}

/** What each training needs to know. */
function jobsOf({ model, summary }: SourceModel, samples: DrawnSamples, request: QuantizeRequest): readonly Training[] {
  const { calibration, evaluation } = samples;
  const given = { model, digest: summary.sha256, calibration: calibration.data, evaluation };
  return TRAINED.flatMap((technique) =>
    technique.schemes.map((scheme) => ({
      ...{ label: labelOf(technique, scheme), way: technique.way, scheme },
      input: { ...given, recipe: recipeFor(request, [], scheme, model) },
    })),
  );
}

/** Makes the model that comes with fewbit smaller in several ways, with images drawn for it here. */
export async function runDemo({ output, command, ...engine }: DemoRequest, hooks: Hooks): Promise<QuantizeReport> {
  const start = performance.now();
  const step = hooks.progress.step("drawing images");
  const samples = drawSamples();
  step.done(`${CALIBRATION.count} to calibrate, ${TEST.count} to test`);
  const request = { ...engine, model: MODEL, schemes: [], keep: [], force: false, embeddings: false, command };
  const partOf = async (technique: Technique, make?: Maker): Promise<Part> => {
    const { schemes, folder } = technique;
    const wish = { ...request, schemes, output: join(output, folder) };
    return { technique, report: await quantizeFile(wish, hooks, { samples, ...(make && { make }) }) };
  };
  const parts = [await partOf(QUANTIZED)];
  const source = await openLegalSource(MODEL);
  try {
    const host = await nodeHost(engine, hooks.signal);
    const trained = await trainAll(host, jobsOf(source, samples, request), hooks);
    for (const technique of TRAINED) {
      const learned = (scheme: string) => trained.get(labelOf(technique, scheme))!.learned;
      parts.push(
        await partOf(technique, (own, input, told) => learned(input.recipe.scheme.name).deploy(own, input, told)),
      );
    }
    return { ...together(parts, trained), seconds: secondsSince(start) };
  } finally {
    await source.close();
  }
}
