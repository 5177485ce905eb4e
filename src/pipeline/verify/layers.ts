/** Where the error comes from: the same values inside both models, compared layer by layer. */
import type { Dataset } from "../../containers/data.ts";
import type { Engine, Session } from "../../engines/contract.ts";
import { withTaps } from "../../engines/taps.ts";
import type { Model, NDArray } from "../../ir/model.ts";
import type { NodePlan, Plan } from "../../ir/plan.ts";
import { scaleOwner } from "../../ir/scale-owner.ts";
import { bitsOf, codesOf } from "../../ir/scheme.ts";
import type { Stats } from "../../ir/stats.ts";
import { gridOf } from "../../lowering/qdq.ts";
import { floatsOf } from "../../numeric/convert.ts";
import { DTYPES } from "../../numeric/dtypes.ts";
import { addErrors, type ErrorSums, meanError, mse, noErrors, sqnr } from "../../numeric/metrics.ts";
import type { Host } from "../host.ts";
import { type Hooks, stopIfAborted } from "../progress.ts";
import type { LayerResult } from "../result.ts";
import { batchSize, decibels } from "./outputs.ts";

/** Enough to rank layers; more samples hardly move the order. */
const SAMPLES = 32;
/** Taps hold memory for one batch each; a graph with more planned nodes is sampled evenly. */
const MAX_LAYERS = 256;
/** Both models are written once more with taps; above this size that costs more than it tells. */
const MAX_BYTES = 256 * 1024 * 1024;

interface Layer {
  readonly entry: NodePlan;
  readonly value: string;
}

/** Error of each planned node's output, in the order of the graph; empty for models too large to write twice. */
export async function compareLayers(
  host: Host,
  before: Model,
  after: Model,
  plan: Plan,
  stats: Stats | undefined,
  data: Dataset,
  hooks: Hooks,
): Promise<readonly LayerResult[]> {
  if (plan.bytes.before > MAX_BYTES) return [];
  const layers = comparable(before, after, plan);
  if (layers.length === 0) return [];
  const values = layers.map(({ value }) => value);
  const sums = await withTapped(host, [before, after], values, (both) => sumErrors(both, values, data, hooks));
  return layers.map((layer) => result(layer, sums.get(layer.value) ?? noErrors, plan, stats));
}

/** Planned nodes of the main graph whose output still exists under its name. */
function comparable(before: Model, after: Model, plan: Plan): readonly Layer[] {
  const present = new Set(after.graph.nodes.flatMap((node) => node.outputs));
  const all = plan.nodes.flatMap((entry): readonly Layer[] => {
    const value = entry.scope === "" ? before.graph.nodes[entry.index]?.outputs[0] : undefined;
    return value !== undefined && present.has(value) ? [{ entry, value }] : [];
  });
  const stride = Math.ceil(all.length / MAX_LAYERS);
  return all.filter((_, i) => i % stride === 0);
}

/** Sums of the errors of `values`, tapped in both models, over the first samples. */
export async function sumErrors(
  [one, two]: readonly [Session, Session],
  values: readonly string[],
  data: Dataset,
  { progress, signal }: Hooks,
): Promise<ReadonlyMap<string, ErrorSums>> {
  const sums = new Map<string, ErrorSums>();
  const step = progress.step("comparing layers", Math.min(SAMPLES, data.length));
  let seen = 0;
  for await (const feeds of data.batches(batchSize(one.inputs, 8))) {
    stopIfAborted(signal);
    const [a, b] = [await one.run(feeds, values), await two.run(feeds, values)];
    for (const name of values)
      if (isFloat(a[name])) sums.set(name, addErrors(sums.get(name) ?? noErrors, floats(a[name]), floats(b[name]!)));
    const samples = Object.values(feeds)[0]?.shape[0] ?? 1;
    step.tick(samples);
    seen += samples;
    if (seen >= SAMPLES) break;
  }
  step.done(`${values.length} layers`);
  return sums;
}

/** Both models with their taps, on the engine each is meant for. */
export async function withTapped<T>(
  host: Host,
  [before, after]: readonly [Model, Model],
  values: readonly string[],
  work: (sessions: readonly [Session, Session]) => Promise<T>,
  engines: readonly [Engine, Engine] = [host.engine, host.engine],
): Promise<T> {
  await using first = await host.stage(withTaps(before, values), "before.onnx");
  await using second = await host.stage(withTaps(after, values), "after.onnx");
  const one = await engines[0].open(first.place);
  try {
    const two = await engines[1].open(second.place);
    try {
      return await work([one, two]);
    } finally {
      await two.close();
    }
  } finally {
    await one.close();
  }
}

const floats = (array: NDArray): Float32Array => floatsOf(array.data, array.dtype);
const isFloat = (array: NDArray | undefined): array is NDArray =>
  array !== undefined && DTYPES[array.dtype].kind === "float";

function result({ entry, value }: Layer, sums: ErrorSums, plan: Plan, stats: Stats | undefined): LayerResult {
  const byName = new Map(plan.values.map((planned) => [planned.value, planned]));
  const planned = byName.get(value);
  const seen = stats?.values[value];
  const scheme = entry.weight?.scheme ?? (planned ?? plan.values[0])?.scheme;
  return {
    node: entry.node,
    op: entry.op,
    value,
    kind: "activation",
    form: entry.form,
    bits: scheme === undefined ? DTYPES.float32.bits : bitsOf(scheme),
    ...layerErrors(sums, planned && gridOf(scaleOwner(byName, value), stats).scale),
    ...(planned && seen ? { range: coveredRange(planned, stats) } : {}),
    ...(seen?.histogram ? { histogram: trimmed(seen.histogram, seen.min, seen.max) } : {}),
  };
}

/** The statistics of one layer's error; in steps where its grid is known. */
export const layerErrors = (sums: ErrorSums, scale: number | undefined) => ({
  sqnr: decibels(sqnr(sums)),
  mse: mse(sums),
  meanError: meanError(sums),
  maxAbs: sums.maxAbs,
  ...(scale === undefined ? {} : { steps: Math.sqrt(mse(sums)) / scale }),
});

/** Values the lowest and the highest code stand for. */
function coveredRange(
  planned: Plan["values"][number],
  stats: Stats | undefined,
): { readonly min: number; readonly max: number } {
  const { scale, zeroPoint } = gridOf(planned, stats);
  const [low, high] = codesOf(planned.scheme);
  return { min: (low - zeroPoint) * scale, max: (high - zeroPoint) * scale };
}

const BINS = 48;

/** A histogram small enough for a report: `BINS` equal bins over what was seen. */
function trimmed(histogram: NonNullable<Stats["values"][string]["histogram"]>, min: number, max: number) {
  const counts = new Array<number>(BINS).fill(0);
  const width = 2 ** (histogram.exponent + 1) / histogram.counts.length;
  const span = max - min || 1;
  for (let i = 0; i < histogram.counts.length; i++) {
    const count = histogram.counts[i]!;
    if (count === 0) continue;
    const middle = -(2 ** histogram.exponent) + (i + 0.5) * width;
    const bin = Math.min(Math.max(Math.floor(((middle - min) / span) * BINS), 0), BINS - 1);
    counts[bin] = counts[bin]! + count;
  }
  return { min, max, counts };
}
