import { expect, test } from "vitest";
import { valueInfo } from "../../ir/build.ts";
import { assertLegal } from "../../ir/check.ts";
import type { NDArray } from "../../ir/model.ts";
import { readAll } from "../../ir/source.ts";
import { decodeFloats, floatsOf } from "../../numeric/convert.ts";
import { elementCount } from "../../numeric/dtypes.ts";
import { rng } from "../../numeric/rng.ts";
import { bytesOfModel, run } from "../../passes/same-outputs.case.ts";
import {
  attention,
  averagePool,
  batchNorm,
  buildModel,
  conv,
  dense,
  depthwise,
  dropout,
  embedding,
  flatten,
  gated,
  gelu,
  globalAveragePool,
  glorot,
  he,
  type Init,
  type Layer,
  layerNorm,
  lecun,
  llama,
  maxPool,
  named,
  normal,
  relu,
  residual,
  rmsNorm,
  scaled,
  sequential,
  sigmoid,
  silu,
  softmax,
  tanh,
} from "./index.ts";

/** Sums of some dozens of float32 products against double precision. */
const CLOSE = 1e-5;

type Weights = ReadonlyMap<string, Float32Array>;

const normals = (shape: readonly number[], seed = 5): Float32Array => {
  const { normal: draw } = rng(seed);
  return Float32Array.from({ length: elementCount(shape) }, draw);
};

/** Builds a model of one layer, runs it on normal numbers, and gives its weights too. */
async function ran(layer: Layer, shape: readonly number[], open: readonly (number | string)[] = shape) {
  const { model } = buildModel({ inputs: [valueInfo("x", "float32", open)], seed: 3 }, (build, x = "") =>
    layer(build, x),
  );
  const x = normals(shape);
  const { output } = await run(assertLegal(model), { x: { dtype: "float32", shape, data: x } });
  const entries = [...model.graph.tensors.values()].map(
    async ({ name, dtype, data }) =>
      [name, dtype === "float32" ? decodeFloats(await readAll(data), dtype) : new Float32Array()] as const,
  );
  return { x, y: output!, weights: new Map(await Promise.all(entries)) as Weights, model };
}

function expectClose({ data, dtype }: NDArray, expected: ArrayLike<number>, tolerance = CLOSE): void {
  const found = floatsOf(data, dtype);
  expect(found).toHaveLength(expected.length);
  let worst = 0;
  for (let i = 0; i < found.length; i++) worst = Math.max(worst, Math.abs(found[i]! - expected[i]!));
  expect(worst).toBeLessThan(tolerance);
}

const range = (length: number): readonly number[] => Array.from({ length }, (_, index) => index);
const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
const get = (weights: Weights, name: string): Float32Array =>
  weights.get(name) ?? expect.fail(`no weight ${name} in ${[...weights.keys()]}`);

/** Rows of a matrix times a matrix, in double precision. */
const times = (x: ArrayLike<number>, w: ArrayLike<number>, width: number, units: number): number[] =>
  range(x.length / width).flatMap((row) =>
    range(units).map((unit) => sum(range(width).map((i) => x[row * width + i]! * w[i * units + unit]!))),
  );

const swish = (v: number): number => v / (1 + Math.exp(-v));

test("dense multiplies rows with its matrix and adds its bias, whatever stands in front of the rows", async () => {
  for (const [shape, bias] of [
    [[5, 4], true],
    [[2, 3, 4], true],
    [[2, 3, 4], false],
  ] as const) {
    const { x, y, weights } = await ran(dense(6, { bias }), shape);
    expect(y.shape).toEqual([...shape.slice(0, -1), 6]);
    expectClose(y, times(x, get(weights, "dense.weight"), 4, 6));
  }
});

test("an embedding hands out the rows of its table", async () => {
  const ids: NDArray = { dtype: "int64", shape: [1, 3], data: BigInt64Array.of(2n, 0n, 2n) };
  const inputs = [valueInfo("ids", "int64", ["batch", "time"])];
  const { model } = buildModel({ inputs }, (build, x = "") => embedding(4, 2)(build, x));
  const table = decodeFloats(await readAll(model.graph.tensors.get("embedding.weight")!.data), "float32");
  const { output } = await run(model, { ids });
  expect([...output!.data]).toEqual([2, 0, 2].flatMap((id) => [...table.subarray(2 * id, 2 * id + 2)]));
});

test("activations follow their formulas", async () => {
  const erf = (v: number): number => {
    let [total, term] = [0, v];
    for (let n = 0; n < 60; n++) {
      total += term / (2 * n + 1);
      term *= (-v * v) / (n + 1);
    }
    return (2 / Math.sqrt(Math.PI)) * total;
  };
  const formulas: readonly (readonly [Layer, (v: number) => number])[] = [
    [relu, (v) => Math.max(v, 0)],
    [sigmoid, (v) => 1 / (1 + Math.exp(-v))],
    [tanh, Math.tanh],
    [silu, swish],
    [gelu, (v) => (v * (1 + erf(v / Math.SQRT2))) / 2],
  ];
  for (const [layer, formula] of formulas) {
    const { x, y } = await ran(layer, [3, 7]);
    expectClose(y, [...x].map(formula));
  }
  const { y } = await ran(softmax, [3, 7]);
  for (const row of range(3)) expect(sum([...(y.data as Float32Array).subarray(7 * row, 7 * row + 7)])).toBeCloseTo(1);
});

/** Convolution of [N, C, H, W] by its definition. */
function convolved(
  x: Float32Array,
  shape: readonly number[],
  w: Float32Array,
  out: number,
  k: number,
  s: number,
  p: number,
  g: number,
) {
  const [n, c, h, width] = shape as [number, number, number, number];
  const [rows, columns] = [h, width].map((length) => Math.floor((length + 2 * p - k) / s) + 1) as [number, number];
  const per = c / g;
  const at = (sample: number, channel: number, i: number, j: number) =>
    i < 0 || j < 0 || i >= h || j >= width ? 0 : x[((sample * c + channel) * h + i) * width + j]!;
  return range(n * out * rows * columns).map((index) => {
    const [j, i] = [index % columns, Math.floor(index / columns) % rows];
    const o = Math.floor(index / (columns * rows)) % out;
    const first = Math.floor(o / (out / g)) * per;
    return sum(
      range(per * k * k).map((tap) => {
        const [dx, dy, channel] = [tap % k, Math.floor(tap / k) % k, Math.floor(tap / (k * k))];
        return (
          w[o * per * k * k + tap]! *
          at(Math.floor(index / (columns * rows * out)), first + channel, i * s + dy - p, j * s + dx - p)
        );
      }),
    );
  });
}

test("convolutions, plain, grouped and depthwise, give what the definition says", async () => {
  const shape = [2, 4, 6, 5];
  const cases: readonly (readonly [Layer, number, number, number, number, number])[] = [
    [conv(3), 3, 3, 1, 1, 1],
    [conv(6, { kernel: 1, bias: false }), 6, 1, 1, 0, 1],
    [conv(6, { stride: 2, groups: 2 }), 6, 3, 2, 1, 2],
    [depthwise({ kernel: 5, stride: 2 }), 4, 5, 2, 2, 4],
    [conv(2, { pad: 0 }), 2, 3, 1, 0, 1],
  ];
  for (const [layer, out, k, s, p, g] of cases) {
    const { x, y, weights } = await ran(layer, shape);
    expectClose(y, convolved(x, shape, get(weights, "conv.weight"), out, k, s, p, g));
  }
});

test("pools take the largest or the mean of their windows", async () => {
  const block = (x: Float32Array, n: number, i: number, j: number) =>
    [0, 1, 4, 5].map((step) => x[n * 16 + i * 8 + j * 2 + step]!);
  const places = range(6 * 4).map((at) => [Math.floor(at / 4), Math.floor(at / 2) % 2, at % 2] as const);
  const largest = await ran(maxPool(), [2, 3, 4, 4]);
  expectClose(
    largest.y,
    places.map(([n, i, j]) => Math.max(...block(largest.x, n, i, j))),
  );
  const mean = await ran(averagePool(), [2, 3, 4, 4]);
  expectClose(
    mean.y,
    places.map(([n, i, j]) => sum(block(mean.x, n, i, j)) / 4),
  );
  const whole = await ran(globalAveragePool, [2, 3, 4, 4]);
  expect(whole.y.shape).toEqual([2, 3]);
  expectClose(
    whole.y,
    range(6).map((n) => sum([...whole.x.subarray(16 * n, 16 * n + 16)]) / 16),
  );
});

test("normalizations leave mean and variance as they should be", async () => {
  const rows = (x: ArrayLike<number>) => range(x.length / 8).map((row) => range(8).map((i) => x[row * 8 + i]!));
  const byRow = (x: ArrayLike<number>, each: (row: readonly number[]) => readonly number[]) => rows(x).flatMap(each);
  const layered = await ran(layerNorm(), [2, 3, 8]);
  expectClose(
    layered.y,
    byRow(layered.x, (row) => {
      const mean = sum(row) / 8;
      const deviation = Math.sqrt(sum(row.map((v) => (v - mean) ** 2)) / 8 + 1e-5);
      return row.map((v) => (v - mean) / deviation);
    }),
  );
  const rooted = await ran(rmsNorm(), [2, 3, 8]);
  expectClose(
    rooted.y,
    byRow(rooted.x, (row) => row.map((v) => v / Math.sqrt(sum(row.map((w) => w * w)) / 8 + 1e-5))),
  );
  const batched = await ran(batchNorm(), [2, 3, 8]);
  expectClose(
    batched.y,
    [...batched.x].map((v) => v / Math.sqrt(1 + 1e-5)),
  );
});

test("flatten, dropout and residuals hand on what they should at inference", async () => {
  const flat = await ran(flatten, [2, 3, 4]);
  expect(flat.y.shape).toEqual([2, 12]);
  const same = await ran(dropout(0.5), [2, 3]);
  expectClose(same.y, same.x, 1e-12);
  const twice = await ran(
    residual((_, x) => x),
    [2, 3],
  );
  expectClose(
    twice.y,
    [...twice.x].map((v) => 2 * v),
  );
  const changed = await ran(residual(dense(5, { bias: false }), named("short", dense(5, { bias: false }))), [2, 3]);
  const w = get(changed.weights, "dense.weight").map((v, i) => v + get(changed.weights, "short.dense.weight")[i]!);
  expectClose(changed.y, times(changed.x, w, 3, 5));
});

test("a gated layer multiplies what comes up with the activated gate", async () => {
  const { x, y, weights } = await ran(gated(6, silu), [3, 4]);
  const up = times(x, get(weights, "mlp.up.weight"), 4, 6);
  const open = times(x, get(weights, "mlp.gate.weight"), 4, 6).map((v, i) => swish(v) * up[i]!);
  expectClose(y, times(open, get(weights, "mlp.down.weight"), 6, 4));
});

/** Attention by its definition: for each head and position a softmax of scores over the positions it sees. */
function attended(
  x: Float32Array,
  weights: Weights,
  time: number,
  width: number,
  heads: number,
  kv: number,
  dim: number,
  rotary: boolean,
) {
  const part = (name: string) => get(weights, `attention.${name}.weight`);
  const turn = (vector: readonly number[], t: number): readonly number[] => {
    if (!rotary) return vector;
    const half = dim / 2;
    const angle = (i: number) => t * 10_000 ** (-i / half);
    return vector.map((v, i) =>
      i < half
        ? v * Math.cos(angle(i)) - vector[i + half]! * Math.sin(angle(i))
        : v * Math.cos(angle(i - half)) + vector[i - half]! * Math.sin(angle(i - half)),
    );
  };
  const [q, k, v] = [
    times(x, part("query"), width, heads * dim),
    times(x, part("key"), width, kv * dim),
    times(x, part("value"), width, kv * dim),
  ];
  const head = (all: readonly number[], count: number, row: number, h: number) =>
    all.slice((row * count + h) * dim, (row * count + h + 1) * dim);
  const mixed = range(x.length / width).flatMap((row) => {
    const [first, t] = [row - (row % time), row % time];
    return range(heads).flatMap((h) => {
      const group = Math.floor(h / (heads / kv));
      const query = turn(head(q, heads, row, h), t);
      const scores = range(t + 1).map((s) =>
        Math.exp(sum(turn(head(k, kv, first + s, group), s).map((value, i) => value * query[i]!)) / Math.sqrt(dim)),
      );
      return range(dim).map((i) =>
        sum(scores.map((score, s) => (score / sum(scores)) * head(v, kv, first + s, group)[i]!)),
      );
    });
  });
  return times(mixed, part("output"), heads * dim, width);
}

test("causal attention, with shared keys and with turned ones, gives what the definition says", async () => {
  const [time, width] = [5, 8];
  for (const [heads, kvHeads, headDim, rotary] of [
    [2, 2, 4, false],
    [4, 2, 6, true],
    [4, 1, 2, true],
  ] as const) {
    const layer = attention({ heads, kvHeads, headDim, causal: true, ...(rotary && { rotary: {} }) });
    const { x, y, weights } = await ran(layer, [2, time, width], ["batch", "time", width]);
    expectClose(y, attended(x, weights, time, width, heads, kvHeads, headDim, rotary));
  }
});

test("attention that sees everything does not care in which order the positions come", async () => {
  const layer = attention({ heads: 2, bias: true });
  const { model, x, y } = await ran(layer, [1, 2, 8]);
  const swapped = Float32Array.of(...x.subarray(8), ...x.subarray(0, 8));
  const { output } = await run(model, { x: { dtype: "float32", shape: [1, 2, 8], data: swapped } });
  const found = output!.data as Float32Array;
  expectClose(y, Float32Array.of(...found.subarray(8), ...found.subarray(0, 8)));
});

test("a language model sees no token before its turn, and scores do not depend on the length of the batch", async () => {
  const { model, parameters } = llama({
    ...{ vocabulary: 16, width: 8, hidden: 12, layers: 2, heads: 4, kvHeads: 2, headDim: 4, dropout: 0.1 },
  });
  expect(parameters).toContain("block.1.attention.key.weight");
  const logits = async (ids: readonly number[]) => {
    const data = BigInt64Array.from(ids, BigInt);
    return (await run(assertLegal(model), { ids: { dtype: "int64", shape: [1, ids.length], data } })).logits!;
  };
  const [short, long] = [await logits([3, 1, 4]), await logits([3, 1, 4, 15, 9])];
  expect(long.shape).toEqual([1, 5, 16]);
  expectClose(short, (long.data as Float32Array).subarray(0, 3 * 16));
});

test("the same seed gives the same bytes, another one other weights", async () => {
  const make = (seed: number) =>
    buildModel({ inputs: [valueInfo("x", "float32", ["batch", 4])], seed }, (build, x = "") =>
      sequential(dense(8), relu, dense(2))(build, x),
    );
  expect(await bytesOfModel(make(1).model)).toEqual(await bytesOfModel(make(1).model));
  expect(await bytesOfModel(make(2).model)).not.toEqual(await bytesOfModel(make(1).model));
  expect(make(1).parameters).toEqual(["dense.weight", "dense.bias", "dense_1.weight", "dense_1.bias"]);
});

test("first weights have the spread that keeps values in size", () => {
  const variance = (init: Init) => {
    const values = [...init(rng(1), [100, 100], { fanIn: 50, fanOut: 150 })];
    return sum(values.map((v) => v * v)) / values.length;
  };
  const expected: readonly (readonly [Init, number])[] = [
    [normal(0.5), 0.25],
    [he, 2 / 50],
    [lecun, 1 / 50],
    [scaled(lecun, 0.5), 0.25 / 50],
    [glorot, 2 / (50 + 150)],
  ];
  // The variance of 10,000 normal values is known to 1.4 % (one standard deviation), of uniform ones to 0.9 %.
  for (const [init, value] of expected) expect(Math.abs(variance(init) / value - 1)).toBeLessThan(0.06);
});

test("a layer that does not fit says where and why", () => {
  const build = (layer: Layer, shape: readonly (number | string)[]) => () =>
    buildModel({ inputs: [valueInfo("x", "float32", shape)] }, (site, x = "") => layer(site, x));
  expect(build(named("stem", dense(2)), ["batch", "time"])).toThrow(
    /layer "stem.dense": axis -1 of "x" must have a known/,
  );
  expect(build(conv(4, { groups: 3 }), [1, 4, 2, 2])).toThrow(/3 groups do not divide the 4 channels/);
  expect(build(attention({ heads: 3 }), [1, 2, 4])).toThrow(/3 heads do not divide a width of 4/);
  expect(build((_, x) => x, [1])).toThrow(/output "output" is "x", which no layer makes/);
});
