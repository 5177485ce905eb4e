/** Opens the samples and labels a request names. */

import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { Dataset } from "../containers/data.ts";
import { randomDataset } from "../containers/random-data.ts";
import { asNumbers } from "../engines/numbers.ts";
import type { Model, ValueInfo } from "../ir/model.ts";
import { fail } from "../numeric/errors.ts";
import { realInputs } from "../pipeline/inspect.ts";
import type { DataSummary } from "../pipeline/result.ts";
import type { EvalFunction, Evaluation } from "../pipeline/verify/outputs.ts";
import { openDataset, openLabels } from "./data.ts";
import type { DataRequest, EvaluationRequest } from "./requests.ts";

const RANDOM = "random";
/** Enough to see that a model runs. */
const RANDOM_SAMPLES = 4;

export interface Samples {
  readonly data: Dataset;
  readonly random: boolean;
}

export const summaryOf = ({ data, random }: Samples): DataSummary => ({
  origin: data.origin,
  samples: data.length,
  random,
});

/** What callers feed: numbers, also where the model takes codes. */
const portsOf = ({ graph }: Model): readonly ValueInfo[] => realInputs(graph).map(asNumbers);

export async function openSamples(request: DataRequest, model: Model): Promise<Samples> {
  const { path, ...options } = request;
  return { data: await openDataset(path, portsOf(model), options), random: path === RANDOM };
}

/** Samples to compare on: those asked for, else the calibration's, else a few made-up ones to see that it runs. */
export async function openEvaluation(
  request: EvaluationRequest | undefined,
  calibration: Samples | undefined,
  model: Model,
): Promise<{ readonly evaluation: Evaluation; readonly random: boolean }> {
  const samples = request?.data ? await openSamples(request.data, model) : (calibration ?? madeUp(model));
  if (request?.labels !== undefined && request.data === undefined)
    fail("usage", "--labels needs the samples they belong to; give them with --data");
  const labels = request?.labels === undefined ? undefined : await openLabels(request.labels, samples.data);
  const evaluate = request?.script === undefined ? undefined : await loadEval(request.script);
  const evaluation: Evaluation = {
    data: samples.data,
    metrics: request?.metrics ?? [],
    ...(labels ? { labels } : {}),
    ...(evaluate ? { evaluate } : {}),
  };
  return { evaluation, random: samples.random };
}

const madeUp = (model: Model): Samples => ({
  data: randomDataset(portsOf(model), { samples: RANDOM_SAMPLES }),
  random: true,
});

/** The default export of the user's own module. */
async function loadEval(path: string): Promise<EvalFunction> {
  const loaded = await import(pathToFileURL(resolve(path)).href).catch((cause: Error) =>
    fail("usage", `--eval ${path}: can't be loaded (${cause.message})`, cause),
  );
  const found = (loaded as { default?: unknown }).default;
  return typeof found === "function"
    ? (found as EvalFunction)
    : fail(
        "usage",
        `--eval ${path}: expected "export default async ({ run, model }) => number", found ${typeof found}`,
      );
}
