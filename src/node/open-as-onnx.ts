/** TFLite models where ONNX is worked on: converted on the way in, and run beside the original like any conversion. */
import { basename, extname } from "node:path";
import { fail } from "../numeric/errors.ts";
import { brokenConversion } from "../pipeline/convert.ts";
import type { Hooks } from "../pipeline/progress.ts";
import { convertSource, MADE_UP } from "./convert.ts";
import { nodeHost } from "./host.ts";
import type { DataRequest, EngineRequest } from "./requests.ts";
import { openLegalSource, openSource, type SourceModel } from "./surroundings.ts";

/** Samples are plenty to see that both models agree. */
const MAX_SAMPLES = 32;

/** A model to open, and samples that its conversion is checked on. */
export interface OnnxRequest extends EngineRequest {
  readonly model: string;
  readonly data?: DataRequest;
}

/**
 * Opens a model as ONNX: a float TFLite model is converted to a temporary file, which is gone after `close`. One whose
 * outputs then differ is an error of code "engine".
 */
export async function openAsOnnx(request: OnnxRequest, hooks: Hooks): Promise<SourceModel> {
  const source = await openLegalSource(request.model);
  if (source.model.container !== "tflite") return source;
  try {
    return await convertedSource(request, source, hooks);
  } finally {
    await source.close();
  }
}

const fewOf = ({ samples = MAX_SAMPLES, ...rest }: DataRequest): DataRequest => ({
  ...rest,
  samples: Math.min(samples, MAX_SAMPLES),
});

async function convertedSource(request: OnnxRequest, source: SourceModel, hooks: Hooks): Promise<SourceModel> {
  const name = `${basename(request.model, extname(request.model))}.onnx`;
  const data = request.data === undefined ? MADE_UP : fewOf(request.data);
  const host = await nodeHost(request, hooks.signal);
  const { made } = await convertSource(host, source, { name, data, threads: request.threads }, hooks);
  const staged = made.staged;
  try {
    const broken = brokenConversion(made);
    if (broken !== undefined) fail("engine", `${request.model} as ONNX: ${broken.message}; ${broken.remedy}`);
    for (const { severity, message } of made.findings) if (severity === "warning") hooks.progress.note(message);
    const opened = await openSource(pathOf(staged.place));
    const close = async () => {
      await opened.close();
      await staged[Symbol.asyncDispose]();
    };
    return { ...opened, summary: { ...opened.summary, name: source.summary.name }, close };
  } catch (error) {
    await staged[Symbol.asyncDispose]();
    throw error;
  }
}

const pathOf = (place: object): string =>
  "path" in place ? String(place.path) : fail("io", "a staged model has no path");
