/** Models that take batches of one length, made to take others while they learn or are looked at, and only then. */
import { concatenate } from "../containers/data-arrays.ts";
import { fixedBatch } from "../containers/data-fit.ts";
import type { TrainingData } from "../containers/training-data.ts";
import { withGraph } from "../ir/edit.ts";
import type { Feeds, Model, NDArray } from "../ir/model.ts";
import { floatsOf } from "../numeric/convert.ts";
import { FewbitError, fail } from "../numeric/errors.ts";
import { addErrors, maxRelative, noErrors } from "../numeric/metrics.ts";
import { openBatch } from "../train/open-batch.ts";
import { runModel, runOnce } from "./run-model.ts";

type Lender = Parameters<typeof runModel>[0];

/** Engines sum in another order where there are more rows; samples that mix are farther off by far. */
const TOLERANCE = 1e-3;

/** Engines tell at length where they stopped. */
const MAX_REASON = 200;

/** A model for batches of any length, or why there is none. */
export type Opened =
  | { readonly model: Model; readonly reason?: undefined }
  | { readonly model?: undefined; readonly reason: string };

/** Feeds behind one another, along their first axis. */
export const joinedFeeds = (parts: readonly Feeds[]): Feeds =>
  Object.fromEntries(Object.keys(parts[0] ?? {}).map((name) => [name, concatenate(parts.map((part) => part[name]!))]));

const numbers = ({ data, dtype }: NDArray): Float32Array => floatsOf(data, dtype);

/** Why answers of one batch are not those of several; undefined where they are. */
function difference(several: Feeds, one: Feeds): string | undefined {
  for (const [name, expected] of Object.entries(several)) {
    const found = one[name]!;
    if (`${found.shape}` !== `${expected.shape}`)
      return `output "${name}" has the shape [${found.shape}] then, expected [${expected.shape}]`;
    const apart = maxRelative(addErrors(noErrors, numbers(expected), numbers(found)));
    if (!(apart <= TOLERANCE)) return `output "${name}" is another then: samples of a batch are not apart`;
  }
  return undefined;
}

/** `model` as it is where it takes any batch; where it takes just one, opened, and compared on the first two of `batches`. */
export async function openedBatch(host: Lender, model: Model, batches: readonly Feeds[]): Promise<Opened> {
  const { inputs } = model.graph;
  const batch = fixedBatch(inputs);
  if (batch === undefined) return { model };
  const other = inputs.find(({ shape }) => shape?.[0] !== batch);
  if (other !== undefined) return { reason: `input "${other.name}" does not begin with the batch` };
  const two = batches.slice(0, 2);
  if (two.length < 2) return { reason: "there are too few samples to see whether it could take others" };
  const opened = await openBatch(model, batch);
  try {
    const each = await runModel(host, model, two);
    const [single] = Object.entries(each[0]!).find(([, { shape }]) => shape.length === 0) ?? [];
    if (single !== undefined) return { reason: `output "${single}" is one number for all samples` };
    const reason = difference(joinedFeeds(each), await runOnce(host, opened, joinedFeeds(two)));
    return reason === undefined ? { model: opened } : { reason };
  } catch (error) {
    if (!(error instanceof FewbitError)) throw error;
    return { reason: error.message.slice(0, MAX_REASON) };
  }
}

/** The first two batches of `length` samples, as far as there are so many. */
async function firstTwo(model: Model, length: number, data: TrainingData): Promise<readonly Feeds[]> {
  const found: Feeds[] = [];
  for (let from = 0; from + length <= data.length && found.length < 2; from += length) {
    const rows = await data.rows(Array.from({ length }, (_, index) => from + index));
    found.push(Object.fromEntries(model.graph.inputs.map(({ name }) => [name, rows[name]!])));
  }
  return found;
}

/** The model for training in batches of `batch`, or an error of code "usage" that says why it takes no others. */
export async function forBatches(host: Lender, model: Model, batch: number, data: TrainingData): Promise<Model> {
  const fixed = fixedBatch(model.graph.inputs);
  if (fixed === undefined || fixed === batch) return model;
  const { model: opened, reason } = await openedBatch(host, model, await firstTwo(model, fixed, data));
  return (
    opened ??
    fail(
      "usage",
      `training: the model takes batches of exactly ${fixed}, not ${batch} (${reason}); train with a batch of ${fixed}`,
    )
  );
}

/** `original` with the constants of `learned`, which was opened. */
export const withConstantsOf = (original: Model, { graph }: Model): Model =>
  withGraph(original, {
    ...original.graph,
    tensors: new Map([...original.graph.tensors].map(([name, own]) => [name, graph.tensors.get(name) ?? own])),
  });
