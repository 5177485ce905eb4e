/**
 * Gradients against central differences on the real engine. The loss is a sum of the outputs with random weights, since a
 * plain sum behind a normalization hardly depends on its inputs. Differences are taken in double precision from the outputs.
 */
import { expect } from "vitest";
import { node as makeNode, onnxModel, tensor, valueInfo } from "../ir/build.ts";
import { assertLegal } from "../ir/check.ts";
import type { Feeds, Model, NDArray, Node, Tensor, TypedArray, ValueInfo } from "../ir/model.ts";
import { bytesOf, decodeDoubles } from "../numeric/convert.ts";
import { elementCount } from "../numeric/dtypes.ts";
import { rng } from "../numeric/rng.ts";
import { bytesOfModel, testEngine } from "../passes/same-outputs.case.ts";
import { gradientGraph } from "./gradient.ts";

/** Element type a check runs in. */
export type Precision = "float32" | "float64";

/** How the numbers of an input are made. */
export type Values = "normal" | "positive" | "separate" | "unit" | "large";

/** One input that is differentiated. */
export interface Given {
  readonly shape: readonly number[];
  /**
   * `separate`: all at least 0.05 apart and from multiples of 0.05 apart, so that no step crosses a kink; `positive` from
   * 0.5 on, `large` from 1.5 on, `unit` from -0.8 to 0.8.
   */
  readonly values?: Values;
  /** The rule needs to know these lengths, so they are never left open. */
  readonly fixed?: boolean;
}

/** A small graph with one output `y` whose gradients are checked. */
export interface GradCase {
  /** The row this case checks. */
  readonly op: string;
  readonly label: string;
  readonly inputs: Readonly<Record<string, Given>>;
  readonly nodes: (precision: Precision) => readonly Node[];
  /** What the differences are taken of, where the op itself is a staircase. */
  readonly smooth?: (precision: Precision) => readonly Node[];
  readonly tensors?: (precision: Precision) => readonly Tensor[];
  /** float32 where the engine has no kernel in double precision. */
  readonly precision?: Precision;
  readonly opsets?: readonly number[];
  /** What becomes of the model before it is differentiated. */
  readonly prepare?: (model: Model) => Model | Promise<Model>;
}

/** Half the distance of the two points of a difference: the error grows with its square, the noise with its inverse. Below 0.05, see `separate`. */
const STEP = { float64: 1e-5, float32: 1e-2 };

/**
 * Largest error allowed, over the largest gradient of the tensor. float64: 1e-10 of truncation and 1e-11 of rounding,
 * times second-order factors of the functions here. float32: outputs are rounded to 6e-8 of their size, which the step
 * divides by 2e-2, and truncation is 1e-4 times the third derivative.
 */
export const TOLERANCE = { float64: 1e-7, float32: 1e-3 };

/** Entries that are checked of each tensor; larger ones are sampled. */
const MAX_ENTRIES = 40;

const arrayOf = (values: readonly number[], precision: Precision): TypedArray =>
  precision === "float64" ? Float64Array.from(values) : Float32Array.from(values);

/** A constant of the precision a check runs in. */
export const constant = (name: string, shape: readonly number[], values: readonly number[], precision: Precision) =>
  tensor(name, precision, shape, arrayOf(values, precision));

type Random = ReturnType<typeof rng>;

/** What becomes of a standard normal number. */
const DRAWN: Readonly<Record<Exclude<Values, "separate">, (normal: number) => number>> = {
  normal: (value) => value,
  positive: (value) => 0.5 + Math.abs(value),
  large: (value) => 1.5 + Math.abs(value),
  unit: (value) => 0.8 * Math.tanh(value),
};

function drawn({ shape, values = "normal" }: Given, random: Random): readonly number[] {
  const count = elementCount(shape);
  if (values !== "separate") return Array.from({ length: count }, () => DRAWN[values](random.normal()));
  const order = Array.from({ length: count }, (_, index) => ({ index, key: random.normal() }));
  order.sort((a, b) => a.key - b.key);
  return order.map(({ index }) => 0.1 * (index - (count >> 1)) + 0.05);
}

const doubles = ({ data, dtype }: NDArray): Float64Array => decodeDoubles(bytesOf(data), dtype);

async function opened<T>(
  model: Model,
  use: (run: (feeds: Feeds) => Promise<Feeds>) => Promise<T>,
  optimize: "all" | "none" = "none",
): Promise<T> {
  const session = await (await testEngine()).open({ bytes: await bytesOfModel(model) }, { optimize });
  try {
    return await use((feeds) => session.run(feeds));
  } finally {
    await session.close();
  }
}

function modelOf(checked: GradCase, precision: Precision, opset: number, open: boolean): Model {
  const info = ([name, { shape, fixed }]: [string, Given]): ValueInfo =>
    valueInfo(name, precision, open && !fixed ? shape.map((_, axis) => `${name}${axis}`) : shape);
  return onnxModel(
    {
      inputs: Object.entries(checked.inputs).map(info),
      outputs: [valueInfo("y", precision)],
      nodes: checked.nodes(precision),
      tensors: checked.tensors?.(precision) ?? [],
    },
    { opsets: { "": opset, "com.microsoft": 1 }, formatVersion: 10 },
  );
}

/** The model with `loss`, the sum of the output times the input `weights`. */
function withLoss(model: Model, precision: Precision, shape: readonly number[]): Model {
  const { graph } = model;
  const nodes = [
    makeNode("Mul", ["y", "weights"], ["weighted"]),
    makeNode("ReduceSum", ["weighted"], ["loss"], { attributes: { keepdims: 0 } }),
  ];
  const inputs = [...graph.inputs, valueInfo("weights", precision, shape)];
  const outputs = [valueInfo("loss", precision, [])];
  return { ...model, graph: { ...graph, inputs, outputs, nodes: [...graph.nodes, ...nodes] } };
}

const dot = (a: Float64Array, b: Float64Array): number => a.reduce((sum, value, index) => sum + value * b[index]!, 0);

/** Indices of the entries to check, spread over the tensor when it is large. */
const entries = (count: number): readonly number[] =>
  Array.from({ length: Math.min(count, MAX_ENTRIES) }, (_, index) =>
    Math.floor((index * count) / Math.min(count, MAX_ENTRIES)),
  );

interface Numeric {
  readonly name: string;
  readonly at: readonly number[];
  readonly slopes: readonly number[];
}

/** Central differences of the weighted output for one input. */
async function slopes(
  run: (feeds: Feeds) => Promise<Feeds>,
  feeds: Feeds,
  name: string,
  weights: Float64Array,
  step: number,
): Promise<Numeric> {
  const array = feeds[name]!;
  const at = entries(array.data.length);
  const found: number[] = [];
  for (const index of at) {
    const ends = [1, -1].map((sign) => {
      const data = array.data.slice() as Float64Array;
      data[index] = data[index]! + sign * step;
      return { ...array, data };
    });
    const [above, below] = [ends[0]!, ends[1]!];
    const [high, low] = [await run({ ...feeds, [name]: above }), await run({ ...feeds, [name]: below })];
    const difference = dot(doubles(high.y!), weights) - dot(doubles(low.y!), weights);
    found.push(difference / (Number(above.data[index]) - Number(below.data[index])));
  }
  return { name, at, slopes: found };
}

/** Largest difference from the numeric slopes, over the largest of them; absolute where they are all zero. */
function worst({ at, slopes }: Numeric, gradient: NDArray): number {
  const values = doubles(gradient);
  const size = Math.max(...slopes.map(Math.abs)) || 1;
  return Math.max(0, ...at.map((index, entry) => Math.abs(values[index]! - slopes[entry]!))) / size;
}

async function compare(
  model: Model,
  names: readonly string[],
  feeds: Feeds,
  numeric: readonly Numeric[],
  open: boolean,
) {
  const trained = assertLegal(gradientGraph(model, "loss", names));
  const outputs = await opened(trained, (run) => run(feeds), open ? "none" : "all");
  const errors = numeric.map((expected) => {
    const gradient = outputs[`grad/${expected.name}`]!;
    expect(gradient.shape, `shape of grad/${expected.name}`).toEqual(feeds[expected.name]!.shape);
    return worst(expected, gradient);
  });
  return Math.max(...errors);
}

/** Worst relative error of a case over its operator sets, with lengths declared and left open, the engine's optimizations on and off. */
export async function gradientError(checked: GradCase): Promise<number> {
  const { precision = "float64", opsets = [17, 21] } = checked;
  const random = rng(11);
  const arrays = Object.entries(checked.inputs).map(([name, given]) => {
    const data = arrayOf(drawn(given, random), precision);
    return [name, { dtype: precision, shape: given.shape, data }] as const;
  });
  const feeds: Feeds = Object.fromEntries(arrays);
  const names = Object.keys(checked.inputs);
  let error = 0;
  for (const opset of opsets) {
    const forward = modelOf({ ...checked, nodes: checked.smooth ?? checked.nodes }, precision, opset, false);
    const { weights, shape, numeric } = await opened(forward, async (run) => {
      const { y } = await run(feeds);
      const weights = arrayOf(Array.from({ length: y!.data.length }, random.normal), precision);
      const exact = doubles({ dtype: precision, shape: y!.shape, data: weights });
      const found: Numeric[] = [];
      for (const name of names) {
        found.push(await slopes(run, feeds, name, exact, STEP[precision]));
      }
      return { weights, shape: y!.shape, numeric: found };
    });
    const all = { ...feeds, weights: { dtype: precision, shape, data: weights } };
    for (const open of [false, true]) {
      const whole = withLoss(modelOf(checked, precision, opset, open), precision, shape);
      const model = (await checked.prepare?.(whole)) ?? whole;
      error = Math.max(error, await compare(model, names, all, numeric, open));
    }
  }
  return error;
}
