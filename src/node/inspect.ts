/** fewbit inspect and fewbit schemes: what is known of a model without running it. */
import { basename, resolve } from "node:path";
import type { TensorFile } from "../ir/tensor-file.ts";
import { findBadWeights } from "../pipeline/bad-weights.ts";
import { listCompressed } from "../pipeline/compressed/index.ts";
import { inspectModel } from "../pipeline/inspect.ts";
import { inspectWeights } from "../pipeline/inspect-weights.ts";
import { listSchemes } from "../pipeline/list-schemes.ts";
import { takeGrids } from "../pipeline/prepare.ts";
import type { Hooks } from "../pipeline/progress.ts";
import type { Finding, InspectReport, SchemesReport, WeightsReport } from "../pipeline/result.ts";
import { listFileTypes } from "../pipeline/weights/index.ts";
import { sizeOf } from "./file-sizes.ts";
import { isFolder } from "./folders.ts";
import { isGguf } from "./is-gguf.ts";
import { isWeightsPath, openWeights } from "./open-weights.ts";
import { holdsSafetensors } from "./safetensors-folder.ts";
import { openLegalSource } from "./surroundings.ts";

/** Weights without a graph, and what reports say of their files. */
async function withWeights<T>(
  path: string,
  use: (weights: TensorFile, model: WeightsReport["model"]) => T,
): Promise<T> {
  const { weights, files, close } = await openWeights(path);
  try {
    return use(weights, { name: basename(resolve(path)), files: files.length, size: await sizeOf(files) });
  } finally {
    await close();
  }
}

/** What is inside a model: a graph, or files of weights alone (GGUF, safetensors, a folder of them). */
export async function inspect(
  { model: path }: { readonly model: string },
  _hooks: Hooks,
): Promise<InspectReport | WeightsReport> {
  if (isWeightsPath(path) || (await isFolder(path)))
    return withWeights(path, (weights, model) => ({ kind: "weights", model, ...inspectWeights(weights) }));
  const source = await openLegalSource(path);
  try {
    const findings: readonly Finding[] = (await findBadWeights(source.model)).map((message) => ({
      severity: "warning",
      code: "bad-weights",
      message,
      remedy: "fix the export; quantize refuses this model",
    }));
    return { kind: "inspect", model: source.summary, ...inspectModel(source.model), findings };
  } finally {
    await source.close();
  }
}

/** All schemes; with a model, those that fit it. */
export async function schemes({ model: path }: { readonly model?: string }, _hooks: Hooks): Promise<SchemesReport> {
  if (path === undefined)
    return { kind: "schemes", schemes: [...listSchemes(), ...listFileTypes(), ...listCompressed()] };
  if (await holdsSafetensors(path))
    return withWeights(path, (weights, model) => ({ kind: "schemes", model, schemes: listCompressed(weights) }));
  if (await isGguf(path))
    return withWeights(path, (weights, model) => ({ kind: "schemes", model, schemes: listFileTypes(weights) }));
  const source = await openLegalSource(path);
  try {
    return { kind: "schemes", model: source.summary, schemes: listSchemes(await takeGrids(source.model)) };
  } finally {
    await source.close();
  }
}
