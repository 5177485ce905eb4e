/** fewbit convert: a model file in another container, run beside the original before it is handed over. */
import { basename, dirname, extname, relative } from "node:path";
import { fail } from "../numeric/errors.ts";
import { brokenConversion, type ConvertMade, convert } from "../pipeline/convert.ts";
import type { Hooks } from "../pipeline/progress.ts";
import { type ConvertReport, ratioOf } from "../pipeline/result.ts";
import { availableEngines } from "./engines.ts";
import { makeFolders, removeEmptyFolders } from "./folders.ts";
import { type NodeHost, nodeHost } from "./host.ts";
import { checkTarget } from "./output-checks.ts";
import { engineFindings, reportHead } from "./report-head.ts";
import type { ConvertRequest, DataRequest } from "./requests.ts";
import { openSamples, summaryOf } from "./samples.ts";
import { refuseSource, type StagedFiles } from "./stage.ts";
import { openLegalSource, type SourceModel } from "./surroundings.ts";

/** What the results say what they are by. */
const ONNX_FILE = ".onnx";

function checkContainers(source: SourceModel, { model, output }: ConvertRequest): void {
  const { container } = source.model;
  if (container !== "tflite" || extname(output).toLowerCase() !== ONNX_FILE)
    fail(
      "unsupported",
      `${model} (${container}) can't become ${basename(output)}: convert writes TFLite models as ONNX, to a file that ends in ${ONNX_FILE}`,
    );
}

/** Samples asked for, else a few made-up ones to see that both models agree. */
export const MADE_UP: DataRequest = { path: "random", seed: 0, samples: 4 };

/** Converts a TFLite file to ONNX and runs both; what is written agrees with the original but for float rounding. */
export async function convertFile(request: ConvertRequest, hooks: Hooks): Promise<ConvertReport> {
  const start = performance.now();
  const source = await openLegalSource(request.model);
  try {
    checkContainers(source, request);
    await refuseSource(request.output);
    await checkTarget(request.output);
    const folder = dirname(request.output);
    const made = await makeFolders(folder);
    try {
      return await convertInto(folder, request, source, hooks, start);
    } finally {
      await removeEmptyFolders(made);
    }
  } finally {
    await source.close();
  }
}

async function convertInto(
  folder: string,
  request: ConvertRequest,
  source: SourceModel,
  hooks: Hooks,
  start: number,
): Promise<ConvertReport> {
  const host = await nodeHost(request, hooks.signal, folder);
  for (const sentence of host.notes) hooks.progress.note(sentence);
  const wish = { name: basename(request.output), data: request.data ?? MADE_UP, threads: request.threads };
  const { made, reference } = await convertSource(host, source, wish, hooks);
  await handOver(made);
  return report(request, source, host, reference, made, start);
}

/** What the result is called, and what both models are run on. */
interface ConvertWish {
  readonly name: string;
  readonly data: DataRequest;
  readonly threads: number;
}

/** Converts a model to a temporary place and runs it beside the original; `reference` is the engine of that. */
export async function convertSource(host: NodeHost, source: SourceModel, wish: ConvertWish, hooks: Hooks) {
  const { engine } = await availableEngines({ container: "tflite", threads: wish.threads });
  const input = {
    ...{ model: source.model, place: { path: source.path }, engine, name: wish.name },
    samples: (model: SourceModel["model"]) => openSamples(wish.data, model),
  };
  return { made: await convert(host, input, hooks), reference: `${engine.name} ${engine.version}` };
}

/** Puts the model in its place if both agree; else it is removed. */
async function handOver(made: ConvertMade): Promise<void> {
  if (brokenConversion(made) === undefined) await (made.staged as StagedFiles).commit();
  else await made.staged[Symbol.asyncDispose]();
}

function report(
  request: ConvertRequest,
  { model, summary }: SourceModel,
  host: NodeHost,
  reference: string,
  made: ConvertMade,
  start: number,
): ConvertReport {
  const { staged, converted, outputs, samples, findings } = made;
  const written = brokenConversion(made) === undefined;
  return {
    ...reportHead(request, host, summary, start),
    kind: "convert",
    ...(written ? { output: relative(".", request.output) || request.output } : {}),
    files: written ? staged.files : [],
    size: ratioOf(summary.size, staged.size),
    ops: { before: model.graph.nodes.length, after: converted.model.graph.nodes.length },
    reference,
    evaluation: summaryOf(samples),
    outputs,
    openBatch: converted.fixedBatch === undefined,
    findings: [...findings, ...engineFindings(host)],
  };
}
