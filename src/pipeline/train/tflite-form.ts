/** The form in which a TFLite model is trained, and the way back. */
import { type Converted, tfliteToOnnx, toTflite } from "../../conversion/index.ts";
import { withGraph, withTensors } from "../../ir/edit.ts";
import type { Model } from "../../ir/model.ts";
import { fail } from "../../numeric/errors.ts";
import { parametersOf } from "../../train/qat/parameters.ts";

/** Refuses models with weights that could not be put back: one that stands for two in the converted model. */
function checkOrigins({ model, origins }: Converted): void {
  const sources = [...origins.values()].map(({ tensor }) => tensor);
  for (const name of parametersOf(model.graph)) {
    const tensor = origins.get(name)?.tensor;
    if (tensor === undefined || sources.indexOf(tensor) !== sources.lastIndexOf(tensor))
      fail(
        "unsupported",
        `tensor "${tensor ?? name}" is read in several orders of axes and can't be trained in place; give the output a name that ends in .onnx`,
      );
  }
}

/** A float TFLite model in ONNX, with all its weights where they can be put back. */
export async function trainableForm(model: Model): Promise<Converted> {
  const converted = await tfliteToOnnx(model);
  checkOrigins(converted);
  return converted;
}

/** `model` with the weights that were trained in its converted form. */
export function withTrained(model: Model, { model: before, origins }: Converted, trained: Model): Model {
  const changed = [...trained.graph.tensors.values()].flatMap((tensor) => {
    const origin = origins.get(tensor.name);
    const same = before.graph.tensors.get(tensor.name) === tensor;
    return origin === undefined || same ? [] : [toTflite(tensor, origin)];
  });
  return withGraph(model, withTensors(model.graph, changed));
}
