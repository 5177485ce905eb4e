/** Runs the float model over samples and keeps statistics of its values, never the values themselves. */
import type { Dataset } from "../containers/data.ts";
import type { Session } from "../engines/contract.ts";
import type { Feeds, NDArray } from "../ir/model.ts";
import type { Stats, ValueStats } from "../ir/stats.ts";
import { floatsOf } from "../numeric/convert.ts";
import { DTYPES } from "../numeric/dtypes.ts";
import { FewbitError, fail } from "../numeric/errors.ts";
import { empty, merge, update } from "../observers/accumulate.ts";
import { type Hooks, noHooks, stopIfAborted } from "./progress.ts";

/** How calibration runs. */
export interface CalibrateOptions {
  /** Samples in one run; chosen by the memory of the values unless told. */
  readonly batch?: number;
  /** SHA-256 of the model file, kept in the statistics. */
  readonly model?: string;
  readonly hooks?: Hooks;
}

/** Memory that the watched values of one batch may take. */
const BATCH_BYTES = 2 ** 26;
/** Larger batches gain nothing on a CPU. */
const MAX_BATCH = 32;

type Runner = Pick<Session, "run">;

/** Values by name: fetched ones from the engine, model inputs from the feeds. */
async function valuesOf(runner: Runner, names: readonly string[], feeds: Feeds): Promise<Feeds> {
  const fetches = names.filter((name) => !Object.hasOwn(feeds, name));
  return fetches.length === 0 ? feeds : { ...feeds, ...(await runner.run(feeds, fetches)) };
}

const samplesIn = (feeds: Feeds): number => Object.values(feeds)[0]?.shape[0] ?? 1;

/** Parts a value has: one per sample where its first axis is theirs. */
const partsOf = ({ shape }: NDArray, samples: number): number => (shape[0] === samples ? samples : 1);

function observe(
  seen: ReadonlyMap<string, ValueStats>,
  found: Feeds,
  names: readonly string[],
  samples: number,
): ReadonlyMap<string, ValueStats> {
  const next = new Map(seen);
  for (const name of names) {
    const value = found[name] ?? fail("engine", `the engine gave no value "${name}"`);
    if (DTYPES[value.dtype].kind !== "float") continue;
    const values = floatsOf(value.data, value.dtype);
    next.set(name, update(next.get(name) ?? empty, values, name, partsOf(value, samples)));
  }
  return next;
}

async function first(dataset: Dataset, size: number): Promise<Feeds> {
  for await (const feeds of dataset.batches(size)) return feeds;
  return fail("data", `${dataset.origin}: holds no samples`);
}

/** As many samples as keep all watched values in `BATCH_BYTES`; one where the model can't run several together. */
async function chooseBatch(runner: Runner, names: readonly string[], dataset: Dataset): Promise<number> {
  const feeds = await first(dataset, 1);
  const alone = await valuesOf(runner, names, feeds);
  const bytes = names.reduce((sum, name) => sum + (alone[name]?.data.byteLength ?? 0), 0);
  const fitting = Math.floor((BATCH_BYTES * samplesIn(feeds)) / Math.max(bytes, 1));
  const batch = Math.min(MAX_BATCH, fitting, dataset.length);
  if (batch < 2 || samplesIn(feeds) > 1) return 1;
  return (await keepsApart(runner, names, await first(dataset, batch), alone)) ? batch : 1;
}

/** Whether a batch runs and no sample flows into another: a value with a first axis of 1 must get one entry per sample. */
async function keepsApart(runner: Runner, names: readonly string[], feeds: Feeds, alone: Feeds): Promise<boolean> {
  try {
    const together = await valuesOf(runner, names, feeds);
    return names.every((name) => {
      const [one, many] = [alone[name]!, together[name]!];
      return one.data.length === many.data.length || one.shape[0] !== 1 || many.shape[0] === samplesIn(feeds);
    });
  } catch (error) {
    if (error instanceof FewbitError && error.code === "engine") return false;
    throw error;
  }
}

/**
 * Statistics of `values` over a dataset. `runner` is the float model, opened with these values among its outputs; model
 * inputs may be asked for too. Values that are not floats are left out; NaN is an error that names the value.
 */
export async function calibrate(
  runner: Runner,
  values: readonly string[],
  dataset: Dataset,
  options: CalibrateOptions = {},
): Promise<Stats> {
  const { hooks = noHooks } = options;
  const names = [...new Set(values)];
  const step = hooks.progress.step("calibrating", dataset.length);
  const batch = options.batch ?? (await chooseBatch(runner, names, dataset));
  let seen: ReadonlyMap<string, ValueStats> = new Map();
  let samples = 0;
  for await (const feeds of dataset.batches(batch)) {
    stopIfAborted(hooks.signal);
    const count = samplesIn(feeds);
    seen = observe(seen, await valuesOf(runner, names, feeds), names, count);
    samples += count;
    step.tick(count);
  }
  step.done(`${samples} samples, ${seen.size} values`);
  return { version: 1, model: options.model ?? "", samples, values: Object.fromEntries(seen) };
}

/** Statistics of two parts of the data; both must come from the same model. */
export function mergeStats(a: Stats, b: Stats): Stats {
  checkStats(b, a.model);
  const names = new Set([...Object.keys(a.values), ...Object.keys(b.values)]);
  const of = (stats: Stats, name: string): ValueStats =>
    Object.hasOwn(stats.values, name) ? stats.values[name]! : empty;
  const values = [...names].map((name) => [name, merge(of(a, name), of(b, name))] as const);
  return {
    version: 1,
    model: a.model || b.model,
    samples: a.samples + b.samples,
    values: Object.fromEntries(values),
  };
}

/** Refuses statistics of another model; an empty digest on either side is not known and passes. */
export function checkStats(stats: Stats, model: string): void {
  if (stats.model === "" || model === "" || stats.model === model) return;
  fail(
    "data",
    `statistics belong to the model with SHA-256 ${stats.model.slice(0, 12)}..., not to ${model.slice(0, 12)}...; calibrate again`,
  );
}
