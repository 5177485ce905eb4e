/** The model that is trained: itself, or a TFLite model beside the ONNX model that learns for it. */
import { basename, extname } from "node:path";
import { tfliteToOnnx } from "../conversion/index.ts";
import type { GraphContainer, Model } from "../ir/model.ts";
import { fail } from "../numeric/errors.ts";
import { takeGrids } from "../pipeline/prepare.ts";
import type { Hooks } from "../pipeline/progress.ts";
import { openAsOnnx } from "./open-as-onnx.ts";
import { EXTENSIONS } from "./output-checks.ts";
import type { TrainRequest } from "./requests.ts";
import { openLegalSource, type SourceModel } from "./surroundings.ts";

/** A model as samples and labels are checked against it, and its file. */
export type TrainedForm = Pick<SourceModel, "path" | "model">;

/** The model that the result is made of, and the one in ONNX that learns: the same but for TFLite. */
export interface TrainSource extends SourceModel {
  readonly form: TrainedForm;
}

/** What an output file may be called, by the container of the model. */
const ALLOWED: Readonly<Record<GraphContainer, readonly GraphContainer[]>> = {
  onnx: ["onnx"],
  tflite: ["tflite", "onnx"],
};

/** The container that `-o` asks for; that of the model without a word. */
function containerOf({ output, model: path }: TrainRequest, { container }: Model): GraphContainer {
  if (output === undefined) return container;
  const ending = extname(output).toLowerCase();
  if (container === "onnx" && ending !== EXTENSIONS.tflite) return container;
  const endings = ALLOWED[container].map((name) => EXTENSIONS[name]);
  return (
    ALLOWED[container].find((name) => EXTENSIONS[name] === ending) ??
    fail(
      "usage",
      `-o ${basename(output)}: ${basename(path)} is trained to a file that ends in ${endings.join(" or ")}; choose that ending`,
    )
  );
}

/** The ONNX model that learns for a TFLite model; run beside it, unless it was trained for grids already. */
async function formOf(request: TrainRequest, { path, model }: SourceModel, hooks: Hooks): Promise<TrainedForm> {
  const float = await takeGrids(model);
  if (float !== model) return { path, model: (await tfliteToOnnx(float)).model };
  const checked = await openAsOnnx(request, hooks);
  await checked.close();
  return { path, model: (await tfliteToOnnx(model)).model };
}

/** Opens the model of a request for training. */
export async function openTrainSource(request: TrainRequest, hooks: Hooks): Promise<TrainSource> {
  const source = await openLegalSource(request.model);
  try {
    const container = containerOf(request, source.model);
    if (container === "tflite") return { ...source, form: await formOf(request, source, hooks) };
    if (source.model.container === "onnx") return { ...source, form: source };
  } catch (error) {
    await source.close();
    throw error;
  }
  await source.close();
  const opened = await openAsOnnx(request, hooks);
  return { ...opened, form: opened };
}
