/**
 * Means and spreads of what each layer computes, brought back to those of the float model before training: rounding to few
 * codes changes both, and one layer hands its change on to the next. Channel by channel a factor on the weights, which the
 * scale follows so that no code changes, and an offset on the bias (Nagel et al., arXiv:1906.04721, and the re-estimated
 * batch normalization of Sun et al., NeurIPS 2019, for models whose normalizations are folded).
 */
import type { Dataset } from "../../containers/data.ts";
import { withTaps } from "../../engines/taps.ts";
import { withGraph, withTensors } from "../../ir/edit.ts";
import type { Feeds, Model, NDArray, Node, Tensor } from "../../ir/model.ts";
import { ONNX } from "../../ir/onnx-ops.ts";
import type { NodePlan, Plan } from "../../ir/plan.ts";
import { bytesSource, readAll } from "../../ir/source.ts";
import { bytesOf, decodeFloats, floatsOf } from "../../numeric/convert.ts";
import { elementCount } from "../../numeric/dtypes.ts";
import type { QatStart } from "../../train/qat/insert.ts";
import type { Host } from "../host.ts";
import { type Hooks, stopIfAborted } from "../progress.ts";

/** A model with trained weights, and its grids. */
export interface Point {
  readonly model: Model;
  readonly grids: QatStart;
}

type Lender = Pick<Host, "engine" | "stage" | "threads">;

/** Samples that means and spreads are taken of; fewer where each is a long text. */
const SAMPLES = 128;
const TOKENS = 4096;
/** Factors beyond this say that the channel is nearly constant on these samples, not that it shrank. */
const LARGEST_FACTOR = 4;

/** Mean and standard deviation of each channel. */
interface Moments {
  readonly mean: Float64Array;
  readonly spread: Float64Array;
}

/** Channels lie on axis 1 of images and sequences of them, on the last axis of rows. */
function momentsOf(array: NDArray, channels: number): Moments | undefined {
  const { shape } = array;
  const axis = shape.length > 2 && shape[1] === channels ? 1 : shape.at(-1) === channels ? shape.length - 1 : -1;
  if (axis < 0) return undefined;
  const values = floatsOf(array.data, array.dtype);
  const inner = elementCount(shape.slice(axis + 1));
  const [sum, squares] = [new Float64Array(channels), new Float64Array(channels)];
  for (let i = 0; i < values.length; i++) {
    const channel = Math.floor(i / inner) % channels;
    sum[channel]! += values[i]!;
    squares[channel]! += values[i]! ** 2;
  }
  const count = values.length / channels;
  const mean = sum.map((total) => total / count);
  return { mean, spread: squares.map((total, c) => Math.sqrt(Math.max(0, total / count - mean[c]! ** 2))) };
}

async function runOnce(
  { engine, stage, threads }: Lender,
  model: Model,
  feeds: Feeds,
  value: string,
): Promise<NDArray> {
  // with this output alone the engine leaves out all that comes behind it
  const { graph } = withTaps(model, [value]);
  const outputs = graph.outputs.filter(({ name }) => name === value);
  await using staged = await stage(withGraph(model, { ...graph, outputs }), "match.onnx", "scratch");
  const session = await engine.open(staged.place, { threads });
  try {
    return (await session.run(feeds, [value]))[value]!;
  } finally {
    await session.close();
  }
}

/** A planned node that can be corrected. */
interface Site {
  readonly node: Node;
  readonly entry: NodePlan;
  readonly bias: string | undefined;
}

/** Nodes in order whose weights no other node reads. */
function sitesOf({ graph }: Model, plan: Plan): readonly Site[] {
  const uses = (name: string): number => graph.nodes.filter(({ inputs }) => inputs.includes(name)).length;
  return plan.nodes.flatMap((entry): Site[] => {
    const { weight, scope } = entry;
    const node = graph.nodes[entry.index];
    if (weight === undefined || scope !== "" || node === undefined || uses(weight.tensor) !== 1) return [];
    if (weight.scheme.granularity.per === "tensor") return [];
    const slot = ONNX.row(node)?.weights.find(({ input }) => input === weight.input)?.bias;
    const bias = slot === undefined ? "" : (node.inputs[slot] ?? "");
    return [{ node, entry, bias: graph.tensors.has(bias) && uses(bias) === 1 ? bias : undefined }];
  });
}

const factorsOf = (float: Moments, fake: Moments): Float64Array =>
  float.spread.map((spread, c) => {
    const factor = fake.spread[c]! > 0 ? spread / fake.spread[c]! : 1;
    return factor > LARGEST_FACTOR || factor < 1 / LARGEST_FACTOR ? 1 : factor;
  });

const floatsIn = async ({ data, dtype }: Tensor): Promise<Float32Array> =>
  decodeFloats(await readAll(data), dtype).slice();
const withValues = (tensor: Tensor, data: Float32Array): Tensor => ({ ...tensor, data: bytesSource(bytesOf(data)) });

/** Weights and scales times their factors, the bias where the float model's mean wants it. */
async function corrected(
  { model, grids }: Point,
  { entry, bias }: Site,
  float: Moments,
  fake: Moments,
): Promise<Point> {
  const { tensor, axis, shape } = entry.weight!;
  const factors = factorsOf(float, fake);
  const old = model.graph.tensors.get(tensor)!;
  const inner = elementCount(shape.slice(axis + 1));
  const values = (await floatsIn(old)).map((value, i) => value * factors[Math.floor(i / inner) % factors.length]!);
  const changed = [withValues(old, values)];
  if (bias !== undefined) {
    const added = model.graph.tensors.get(bias)!;
    const moved = (own: number, c: number) => own * factors[c]! + float.mean[c]! - fake.mean[c]! * factors[c]!;
    changed.push(withValues(added, (await floatsIn(added)).map(moved)));
  }
  const given = grids.weights.get(entry)!;
  const each = given.scale.length / factors.length;
  const scale = given.scale.map((own, i) => own * factors[Math.floor(i / each)]!);
  const weights = new Map(grids.weights).set(entry, { ...given, scale });
  return { model: withGraph(model, withTensors(model.graph, changed)), grids: { ...grids, weights } };
}

async function firstBatch(samples: Dataset, size: number): Promise<Feeds> {
  for await (const feeds of samples.batches(size)) return feeds;
  return {};
}

async function firstSamples(samples: Dataset): Promise<Feeds> {
  const one = Object.values(await firstBatch(samples, 1));
  const tokens = Math.max(1, ...one.filter(({ dtype }) => dtype.startsWith("int")).map(({ data }) => data.length));
  return firstBatch(samples, Math.max(1, Math.min(SAMPLES, Math.floor(TOKENS / tokens))));
}

/** Matches layer after layer, each with all before it as they are by then. `fakeModel` makes the fake-quantized model of a point. */
export async function matchMoments(
  host: Lender,
  point: Point,
  plan: Plan,
  samples: Dataset,
  fakeModel: (point: Point) => Model,
  { progress, signal }: Hooks,
): Promise<Point> {
  const sites = sitesOf(point.model, plan).filter(({ entry }) => point.grids.weights.has(entry));
  const feeds = await firstSamples(samples);
  const step = progress.step("matching layers", sites.length);
  let current = point;
  for (const site of sites) {
    stopIfAborted(signal);
    const fake = fakeModel(current);
    const own = fake.graph.nodes.find(
      ({ attributes, op }) => attributes === site.node.attributes && op === site.node.op,
    );
    const channels = site.entry.weight!.shape[site.entry.weight!.axis]!;
    const before = momentsOf(await runOnce(host, point.model, feeds, site.node.outputs[0]!), channels);
    const after = own && momentsOf(await runOnce(host, fake, feeds, own.outputs[0]!), channels);
    if (before && after) current = await corrected(current, site, before, after);
    step.tick();
  }
  step.done();
  return current;
}
