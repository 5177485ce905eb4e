import { expect, test } from "vitest";
import { floatTensor, node, onnxModel, valueInfo } from "../../ir/build.ts";
import { assertLegal } from "../../ir/check.ts";
import type { Model } from "../../ir/model.ts";
import { elementCount } from "../../numeric/dtypes.ts";
import { rng } from "../../numeric/rng.ts";
import { bytesOfModel, run, testEngine } from "../../passes/same-outputs.case.ts";
import { expand } from "../expand.ts";
import { gradientGraph } from "../gradient.ts";
import { TRAINING_OPS } from "../ops/index.ts";
import { bound, dataOf, extent, f32, largestError, span } from "./bounds.case.ts";
import { NOISE_LENGTH } from "./gradient-codes.ts";
import { type LowPrecisionOptions, withIntegerProducts } from "./rewrite.ts";

interface Case {
  readonly label: string;
  readonly x: readonly number[];
  readonly weight: readonly number[];
  readonly attributes: Readonly<Record<string, readonly number[]>>;
  readonly bias?: boolean;
}

const CASES: readonly Case[] = [
  {
    label: "3x3 with pads and a bias",
    x: [3, 4, 6, 5],
    weight: [5, 4, 3, 3],
    attributes: { pads: [1, 1, 1, 1] },
    bias: true,
  },
  { label: "1x1", x: [2, 33, 4, 4], weight: [3, 33, 1, 1], attributes: {} },
  { label: "strides", x: [2, 4, 7, 8], weight: [5, 4, 3, 3], attributes: { strides: [2, 2], pads: [1, 0, 1, 1] } },
  {
    label: "uneven pads and dilations",
    x: [2, 4, 8, 9],
    weight: [3, 4, 3, 3],
    attributes: { pads: [2, 0, 1, 3], dilations: [2, 1] },
  },
  { label: "pads wider than the kernel", x: [2, 8, 4, 4], weight: [3, 8, 2, 2], attributes: { pads: [2, 2, 2, 2] } },
  { label: "one positions axis", x: [3, 8, 9], weight: [4, 8, 5], attributes: { pads: [2, 2] }, bias: true },
];

const random = rng(5);
const normal = (shape: readonly number[]): Float32Array =>
  Float32Array.from({ length: elementCount(shape) }, random.normal);

function outputShape({ x, weight, attributes }: Case): readonly number[] {
  const { pads, strides, dilations } = attributes;
  const lengths = x.slice(2).map((length, axis) => {
    const [begin, end] = [pads?.[axis] ?? 0, pads?.[axis + x.length - 2] ?? 0];
    const reach = (dilations?.[axis] ?? 1) * (weight[axis + 2]! - 1);
    return Math.floor((length + begin + end - reach - 1) / (strides?.[axis] ?? 1)) + 1;
  });
  return [x[0]!, weight[0]!, ...lengths];
}

function modelOf({ x, weight, attributes, bias = false }: Case, w: Float32Array, open: boolean): Model {
  return onnxModel(
    {
      inputs: [
        valueInfo("x", "float32", open ? ["batch", x[1]!, ...x.slice(2).map((_, at) => `p${at}`)] : x),
        valueInfo(
          "d",
          "float32",
          x.map((_, axis) => `d${axis}`),
        ),
      ],
      outputs: [valueInfo("y", "float32"), valueInfo("loss", "float32", [])],
      nodes: [
        node("Conv", ["x", "w", ...(bias ? ["c"] : [])], ["y"], { name: "conv", attributes }),
        node("Mul", ["y", "d"], ["weighted"]),
        node("ReduceSum", ["weighted"], ["loss"], { attributes: { keepdims: 0 } }),
      ],
      tensors: [floatTensor("w", weight, w), floatTensor("c", [weight[0]!], normal([weight[0]!]))],
    },
    { opsets: { "": 21 }, formatVersion: 10 },
  );
}

function integerModel(model: Model, options: Partial<LowPrecisionOptions> = {}): Model {
  const found = withIntegerProducts(model, { parameters: ["w"], keep: new Set(), stochastic: false, ...options });
  expect(found.integer).toEqual([{ node: "conv", weight: "w", axis: 0 }]);
  return assertLegal(expand(gradientGraph(found.model, "loss", ["x", "w"]), TRAINING_OPS));
}

test.each(CASES)("$label: convolution and gradients are within half steps of the float ones", async (given) => {
  const [x, w] = [normal(given.x), normal(given.weight)];
  for (const open of [false, true]) {
    const model = modelOf(given, w, open);
    const shape = outputShape(given);
    const d = normal(shape);
    const feeds = { x: f32(given.x, x), d: f32(shape, d) };
    const floats = await run(gradientGraph(model, "loss", ["x", "w"]), feeds);
    for (const optimize of ["none", "all"] as const) {
      const found = await run(integerModel(model), feeds, optimize);
      const step = extent(w) / 127;
      const [outputs, ...window] = given.weight as readonly [number, ...number[]];
      const off = (name: string) => largestError(dataOf(found, name), dataOf(floats, name));
      expect(off("y")).toBeLessThan(bound(elementCount(window), x, w, step));
      const taps = outputs * elementCount(window.slice(1));
      expect(off("grad/x")).toBeLessThan(
        bound(
          taps,
          d.map((value) => value * step),
          w.map((value) => value / step),
          1,
        ),
      );
      expect(off("grad/w")).toBeLessThan(bound(d.length / outputs, d, x, span(x) / 255));
      for (const name of ["grad/x", "grad/w"]) expect(found[name]!.shape).toEqual(floats[name]!.shape);
    }
  }
});

test("gradients rounded at random are right on average", async () => {
  const given = CASES[0]!;
  // Codes of x and w are exact, so that the gradient is the only thing that is rounded.
  const x = normal(given.x).map((_, i) => (i < 2 ? i : random.integer(0, 255) / 255));
  const w = normal(given.weight).map((_, i) => (i % 36 === 0 ? 127 : random.integer(-127, 127)));
  const shape = [3, 5, 6, 5];
  const d = normal(shape).map((_, i) => (i === 0 ? 1 : 1e-3 * random.uniform()));
  const feeds = { x: f32(given.x, x), d: f32(shape, d) };
  const model = modelOf(given, w, true);
  const floats = await run(gradientGraph(model, "loss", ["x", "w"]), feeds);
  const session = await (await testEngine()).open({
    bytes: await bytesOfModel(integerModel(model, { stochastic: true })),
  });
  const draws = 300;
  const sums = { "grad/x": new Float64Array(x.length), "grad/w": new Float64Array(w.length) };
  for (let draw = 0; draw < draws; draw++) {
    const noise = f32([NOISE_LENGTH], Float32Array.from({ length: NOISE_LENGTH }, random.uniform));
    const found = await session.run({ ...feeds, "train/noise/gradients": noise });
    for (const name of ["grad/x", "grad/w"] as const)
      for (const [index, value] of dataOf(found, name).entries()) sums[name][index]! += value / draws;
  }
  await session.close();
  // The variance of one rounding is a quarter of a squared step at most; 5 deviations of a sum of `terms`.
  const off = (name: "grad/x" | "grad/w") => largestError(sums[name], dataOf(floats, name));
  const limit = (terms: number, factor: number) => 5 * (1 / 253 / 2) * factor * Math.sqrt(terms / draws);
  expect(off("grad/x")).toBeLessThan(limit(5 * 9, 127));
  expect(off("grad/w")).toBeLessThan(limit(3 * 6 * 5, 1));
});
