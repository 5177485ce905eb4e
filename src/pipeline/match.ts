/**
 * Means and spreads of what each layer computes, brought back to those of the float model: rounding to few codes changes
 * both, and one layer hands its change on to the next. Channel by channel a factor on the weights, which the scale follows so
 * that no code changes, and an offset on the bias (Nagel et al., arXiv:1906.04721, and the re-estimated batch normalization
 * of Sun et al., NeurIPS 2019, for models whose normalizations are folded).
 */
import type { Dataset } from "../containers/data.ts";
import { tensor as makeTensor } from "../ir/build.ts";
import { weightAt } from "../ir/dialect.ts";
import { freshNames, withGraph, withTensors } from "../ir/edit.ts";
import type { Feeds, Model, NDArray, Node, Tensor } from "../ir/model.ts";
import { ONNX } from "../ir/onnx-ops.ts";
import type { NodePlan, Plan } from "../ir/plan.ts";
import { bytesSource, computedSource, readAll } from "../ir/source.ts";
import { bytesOf, decodeFloats } from "../numeric/convert.ts";
import { elementCount } from "../numeric/dtypes.ts";
import { insertFakeQuantize } from "../train/qat/insert.ts";
import { type ChannelValue, type Telling, withMatching, withMoments } from "../train/qat/matching.ts";
import type { Host } from "./host.ts";
import { joinedFeeds, openedBatch } from "./open-batch.ts";
import { type Hooks, stopIfAborted } from "./progress.ts";
import { runOnce } from "./run-model.ts";
import type { Point } from "./starting-grids.ts";

type Lender = Pick<Host, "engine" | "stage" | "threads">;

/** Samples that means and spreads are taken of; fewer where each is a long text or a large image. */
const SAMPLES = 128;
const TOKENS = 4096;
const NUMBERS = 2 ** 23;
/** Fewer samples than this say nothing of a channel that has one value for each. */
const FEWEST = 16;

/** A planned node that can be corrected. */
export interface Site extends ChannelValue {
  readonly node: Node;
  readonly entry: NodePlan;
  readonly bias: string | undefined;
}

const isFloat = (tensor: Tensor | undefined): boolean => tensor?.dtype === "float32";

/** Products in order whose weights no other node reads; rows of a table that are picked have no channels of their own. */
export function sitesOf({ graph }: Model, plan: Plan): readonly Site[] {
  const uses = (name: string): number => graph.nodes.filter(({ inputs }) => inputs.includes(name)).length;
  return plan.nodes.flatMap((entry): Site[] => {
    const { weight, scope } = entry;
    const node = graph.nodes[entry.index];
    if (weight === undefined || scope !== "" || node === undefined || uses(weight.tensor) !== 1) return [];
    if (ONNX.row(node)?.static(node).as !== "compute") return [];
    if (weight.scheme.granularity.per === "tensor" || !isFloat(graph.tensors.get(weight.tensor))) return [];
    const { shape, axis } = weight;
    const slot = weightAt(ONNX, node, weight.input)?.bias;
    const bias = slot === undefined ? "" : (node.inputs[slot] ?? "");
    const free = isFloat(graph.tensors.get(bias)) && uses(bias) === 1;
    // kernels see images with channels first; matrices make rows of channels
    const channels = { value: node.outputs[0]!, channels: shape[axis]!, last: shape.length < 3 || axis > 1 };
    return [{ ...channels, node, entry, bias: free ? bias : undefined }];
  });
}

/** What a model tells of each value. */
async function told(host: Lender, { model, outputs }: Telling, feeds: Feeds) {
  const found = await runOnce(host, model, feeds);
  return new Map([...outputs].map(([value, [a, b]]) => [value, [found[a]!, found[b]!] as const]));
}

const floatsIn = async ({ data, dtype }: Tensor): Promise<Float32Array> =>
  decodeFloats(await readAll(data), dtype).slice();

/** A weight times the factors of its channels, computed when it is read. */
const scaled = (tensor: Tensor, axis: number, factors: Float32Array): Tensor => {
  const inner = elementCount(tensor.shape.slice(axis + 1));
  const compute = async () =>
    bytesOf((await floatsIn(tensor)).map((value, i) => value * factors[Math.floor(i / inner) % factors.length]!));
  return { ...tensor, data: computedSource(tensor.data.size, compute) };
};

const numbersOf = ({ data }: NDArray): Float32Array => data as Float32Array;
const allFinite = (arrays: readonly NDArray[]): boolean =>
  arrays.every((array) => numbersOf(array).every(Number.isFinite));

/** Weights and scales times their factors, the bias where the float model's mean wants it. */
export async function corrected(
  { model, grids }: Point,
  { entry, bias }: Site,
  factors: Float32Array,
  offsets: Float32Array,
) {
  const { tensor, axis } = entry.weight!;
  const changed = [scaled(model.graph.tensors.get(tensor)!, axis, factors)];
  if (bias !== undefined) {
    const added = model.graph.tensors.get(bias)!;
    const moved = (await floatsIn(added)).map((own, c) => own * factors[c]! + offsets[c]!);
    changed.push({ ...added, data: bytesSource(bytesOf(moved)) });
  }
  const given = grids.weights.get(entry)!;
  const each = given.scale.length / factors.length;
  const scale = given.scale.map((own, i) => own * factors[Math.floor(i / each)]!);
  const weights = new Map(grids.weights).set(entry, { ...given, scale });
  return { model: withGraph(model, withTensors(model.graph, changed)), grids: { ...grids, weights } };
}

const countOf = (feeds: Feeds | undefined): number => Object.values(feeds ?? {})[0]?.shape[0] ?? 0;

/** Samples of one shape from the start, at most `size` of them but for those of a first batch that is longer. */
async function firstBatches(samples: Dataset, size: number): Promise<readonly Feeds[]> {
  const found: Feeds[] = [];
  const shapesOf = (feeds: Feeds) => Object.values(feeds).map(({ shape }) => `${shape.slice(1)}`);
  let left = size;
  for await (const feeds of samples.batches(size)) {
    const isLike = found.length === 0 || `${shapesOf(feeds)}` === `${shapesOf(found[0]!)}`;
    if (!isLike || (found.length > 0 && countOf(feeds) > left)) break;
    found.push(feeds);
    left -= countOf(feeds);
    if (left <= 0) break;
  }
  return found;
}

/** Samples that go through a model at once. */
interface Looked {
  readonly model: Model;
  readonly feeds: Feeds;
  /** Rows of channels that each matrix product makes of them at least. */
  readonly rows: number;
  /** Why there are no more, where the model is to blame. */
  readonly reason?: string;
}

/** The first samples, and the model as it takes so many. */
async function firstSamples(host: Lender, model: Model, samples: Dataset): Promise<Looked> {
  const [first = {}] = await firstBatches(samples, 1);
  const one = Object.values(first).map(({ dtype, data, shape }) => {
    const each = data.length / (shape[0] || 1);
    return { each, tokens: dtype.startsWith("int") ? each : 1 };
  });
  const tokens = Math.max(1, ...one.map((input) => input.tokens));
  const numbers = Math.max(1, ...one.map(({ each }) => each));
  const limits = [SAMPLES, Math.floor(TOKENS / tokens), Math.floor(NUMBERS / numbers)];
  const found = await firstBatches(samples, Math.max(1, Math.min(...limits)));
  const all = joinedFeeds(found);
  const opened = found.length > 1 ? await openedBatch(host, model, found) : { model };
  const looked =
    opened.model === undefined ? { ...opened, model, feeds: found[0]! } : { model: opened.model, feeds: all };
  return { ...looked, rows: tokens * countOf(looked.feeds) };
}

/** What the float model has at each place, without places that are not finite. */
async function wanted(host: Lender, model: Model, sites: readonly Site[], feeds: Feeds) {
  const found = await told(host, withMoments(model, sites), feeds);
  const fresh = freshNames(model.graph);
  const named = (array: NDArray, wish: string) => makeTensor(fresh(wish), "float32", array.shape, numbersOf(array));
  return sites.flatMap((site) => {
    const [mean, spread] = found.get(site.value)!;
    if (!allFinite([mean, spread])) return [];
    return [{ site, mean: named(mean, `${site.value}/mean`), spread: named(spread, `${site.value}/spread`) }];
  });
}

/** A point with matched layers, and how many. */
export interface Matched {
  readonly point: Point;
  readonly layers: number;
  /** Why no layer was matched, where samples are to blame. */
  readonly reason?: string;
}

/**
 * Matches the planned layers, each with all before it as they are by then. Two runs of the
 * engine: the float model tells what it has, the fake-quantized one is corrected on the way and tells by how much.
 */
export async function matchMoments(
  host: Lender,
  point: Point,
  plan: Plan,
  samples: Dataset,
  { progress, signal }: Hooks,
): Promise<Matched> {
  const sites = sitesOf(point.model, plan).filter(({ entry }) => point.grids.weights.has(entry));
  if (sites.length === 0) return { point, layers: 0 };
  const { model: taking, feeds, rows, reason = "" } = await firstSamples(host, point.model, samples);
  if (rows < FEWEST) {
    const why = reason === "" ? "" : `; the model takes no more, for ${reason}`;
    return { point, layers: 0, reason: `${rows} samples at a time are fewer than ${FEWEST}${why}` };
  }
  const step = progress.step("matching layers", 2);
  const places = await wanted(host, taking, sites, feeds);
  step.tick();
  stopIfAborted(signal);
  const { model, products } = insertFakeQuantize(taking, plan, point.grids, { learn: false });
  const values = places.map(({ site, mean, spread }) => {
    const value = products.get(site.entry) ?? site.value;
    return { ...site, value, mean, spread, offsets: site.bias !== undefined };
  });
  const found = await told(host, withMatching(model, values), feeds);
  step.tick();
  let current = point;
  let layers = 0;
  for (const { value, entry, ...site } of values) {
    const [factors, offsets] = found.get(value)!;
    if (!allFinite([factors, offsets])) continue;
    current = await corrected(current, { ...site, value, entry }, numbersOf(factors), numbersOf(offsets));
    layers++;
  }
  step.done(`${layers} layers`);
  return { point: current, layers };
}
