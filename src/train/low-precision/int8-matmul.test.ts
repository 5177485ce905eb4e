import { expect, test } from "vitest";
import { floatTensor, node, onnxModel, valueInfo } from "../../ir/build.ts";
import { assertLegal } from "../../ir/check.ts";
import type { Feeds, Model, Node } from "../../ir/model.ts";
import { rng } from "../../numeric/rng.ts";
import { bytesOfModel, run, testEngine } from "../../passes/same-outputs.case.ts";
import { expand } from "../expand.ts";
import { gradientGraph } from "../gradient.ts";
import { TRAINING_OPS } from "../ops/index.ts";
import { bound, dataOf, extent, f32, largestError, span } from "./bounds.case.ts";
import { WEIGHT_FORMATS, type WeightFormatName } from "./formats.ts";
import { NOISE_LENGTH } from "./gradient-codes.ts";
import { type LowPrecisionOptions, withIntegerProducts } from "./rewrite.ts";

const [ROWS, INNER, COLUMNS] = [24, 32, 16];
const random = rng(3);
const normal = (count: number): Float32Array => Float32Array.from({ length: count }, random.normal);

interface Case {
  readonly label: string;
  readonly x: readonly number[];
  readonly nodes: readonly Node[];
  readonly transB?: boolean;
}

const gemm = (transB: number, bias: readonly string[]) =>
  node("Gemm", ["x", "w", ...bias], ["y"], { name: "dense", attributes: { transB } });
const CASES: readonly Case[] = [
  { label: "MatMul", x: [ROWS, INNER], nodes: [node("MatMul", ["x", "w"], ["y"], { name: "dense" })] },
  { label: "MatMul of a stack", x: [4, 6, INNER], nodes: [node("MatMul", ["x", "w"], ["y"], { name: "dense" })] },
  { label: "Gemm", x: [ROWS, INNER], nodes: [gemm(0, [])] },
  { label: "Gemm with a bias and a transposed weight", x: [ROWS, INNER], nodes: [gemm(1, ["c"])], transB: true },
];

/** Sum of y * d, so that the gradient of y is d. */
function modelOf({ x, nodes, transB = false }: Case, weight: Float32Array, open: boolean): Model {
  const out = [...x.slice(0, -1), COLUMNS];
  return onnxModel(
    {
      inputs: [valueInfo("x", "float32", open ? ["batch", ...x.slice(1)] : x), valueInfo("d", "float32", out)],
      outputs: [valueInfo("y", "float32"), valueInfo("loss", "float32", [])],
      nodes: [
        ...nodes,
        node("Mul", ["y", "d"], ["weighted"]),
        node("ReduceSum", ["weighted"], ["loss"], { attributes: { keepdims: 0 } }),
      ],
      tensors: [
        floatTensor("w", transB ? [COLUMNS, INNER] : [INNER, COLUMNS], weight),
        floatTensor("c", [COLUMNS], normal(COLUMNS)),
      ],
    },
    { opsets: { "": 21 }, formatVersion: 10 },
  );
}

const none: ReadonlySet<string> = new Set();
/** The model's outputs and the gradients of x and w, as plain nodes. */
function integerModel(model: Model, options: Partial<LowPrecisionOptions>): Model {
  const found = withIntegerProducts(model, { parameters: ["w"], keep: none, stochastic: false, ...options });
  expect(found.integer.map((entry) => entry.node)).toEqual(["dense"]);
  return assertLegal(expand(gradientGraph(found.model, "loss", ["x", "w"]), TRAINING_OPS));
}

const feedsOf = (given: Case, x: Float32Array, d: Float32Array): Feeds => ({
  x: f32(given.x, x),
  d: f32([...given.x.slice(0, -1), COLUMNS], d),
});

test.each(CASES)("$label: products and gradients are within half steps of the float ones", async (given) => {
  const [x, w, d] = [normal(ROWS * INNER), normal(INNER * COLUMNS), normal(ROWS * COLUMNS)];
  const feeds = feedsOf(given, x, d);
  for (const open of [false, true]) {
    const model = modelOf(given, w, open);
    const floats = await run(gradientGraph(model, "loss", ["x", "w"]), feeds);
    for (const optimize of ["none", "all"] as const) {
      const found = await run(integerModel(model, {}), feeds, optimize);
      const weightStep = extent(w) / 127;
      expect(largestError(dataOf(found, "y"), dataOf(floats, "y"))).toBeLessThan(bound(INNER, x, w, weightStep));
      // Scales of the channels are part of the left side, so its extent is that of d times the largest of them.
      const scaled = d.map((value) => value * weightStep);
      expect(largestError(dataOf(found, "grad/x"), dataOf(floats, "grad/x"))).toBeLessThan(
        bound(
          COLUMNS,
          scaled,
          w.map((value) => value / weightStep),
          1,
        ),
      );
      expect(largestError(dataOf(found, "grad/w"), dataOf(floats, "grad/w"))).toBeLessThan(
        bound(ROWS, x, d, span(d) / 255),
      );
      for (const name of ["x", "w"]) expect(found[`grad/${name}`]!.shape).toEqual(floats[`grad/${name}`]!.shape);
    }
  }
});

test("float gradients are those of the product with the rounded weight", async () => {
  const given = CASES[3]!;
  const [x, w, d] = [normal(ROWS * INNER), normal(INNER * COLUMNS), normal(ROWS * COLUMNS)];
  const model = modelOf(given, w, true);
  const floats = await run(gradientGraph(model, "loss", ["x", "w"]), feedsOf(given, x, d));
  const found = await run(integerModel(model, { backward: false }), feedsOf(given, x, d), "all");
  // Float32 sums in another order.
  expect(largestError(dataOf(found, "grad/w"), dataOf(floats, "grad/w"))).toBeLessThan(1e-4);
  expect(largestError(dataOf(found, "grad/x"), dataOf(floats, "grad/x"))).toBeLessThan(
    COLUMNS * extent(d) * (extent(w) / 127 / 2) * 1.001,
  );
});

test.each(Object.keys(WEIGHT_FORMATS) as WeightFormatName[])(
  "%s: the product is one of the format's codes",
  async (format) => {
    const { codes, statistic, factor } = WEIGHT_FORMATS[format];
    const w = normal(INNER * COLUMNS);
    // The identity on the left reads the weight back; its codes 0 and 255 are exact.
    const identity = Float32Array.from({ length: INNER * INNER }, (_, i) => (i % (INNER + 1) === 0 ? 1 : 0));
    const given: Case = { ...CASES[0]!, x: [INNER, INNER] };
    const feeds = feedsOf(given, identity, normal(INNER * COLUMNS));
    const found = dataOf(await run(integerModel(modelOf(given, w, false), { format }), feeds, "all"), "y");
    for (let column = 0; column < COLUMNS; column++) {
      const own = Array.from({ length: INNER }, (_, row) => Math.abs(w[row * COLUMNS + column]!));
      const size = statistic === "max" ? Math.max(...own) : own.reduce((sum, value) => sum + value, 0) / INNER;
      const scale = size * factor;
      for (let row = 0; row < INNER; row++) {
        const at = row * COLUMNS + column;
        const code = found[at]! / scale;
        expect(Math.abs(code - Math.round(code))).toBeLessThan(1e-4);
        expect(Math.round(code)).toBeGreaterThanOrEqual(codes[0]);
        expect(Math.round(code)).toBeLessThanOrEqual(codes[1]);
        const inside = Math.min(Math.max(w[at]! / scale, codes[0]), codes[1]);
        expect(Math.abs(code - inside)).toBeLessThan(0.5 + 1e-4);
      }
    }
  },
);

/** Mean of gradients over many draws of the noise. */
async function means(model: Model, feeds: Feeds, draws: number): Promise<Readonly<Record<"x" | "w", Float64Array>>> {
  const session = await (await testEngine()).open({ bytes: await bytesOfModel(model) });
  const sums = { x: new Float64Array(ROWS * INNER), w: new Float64Array(INNER * COLUMNS) };
  for (let draw = 0; draw < draws; draw++) {
    const noise = Float32Array.from({ length: NOISE_LENGTH }, random.uniform);
    const found = await session.run({ ...feeds, "train/noise/gradients": f32([NOISE_LENGTH], noise) });
    for (const name of ["x", "w"] as const) {
      const values = dataOf(found, `grad/${name}`);
      for (let i = 0; i < values.length; i++) sums[name][i]! += values[i]! / draws;
    }
  }
  await session.close();
  return sums;
}

test.each(CASES)(
  "$label: gradients rounded at random are right on average, where rounding to the nearest loses the small ones",
  async (given) => {
    const w = normal(INNER * COLUMNS);
    // Codes of x and w are exact, so that the gradient is the only thing that is rounded.
    const x = Float32Array.from({ length: ROWS * INNER }, (_, i) => (i < 2 ? i : random.integer(0, 255) / 255));
    const isFirst = (i: number) => (given.transB ? i % INNER === 0 : i < COLUMNS);
    const wholes = w.map((_, i) => (isFirst(i) ? 127 : random.integer(-127, 127)));
    // One large gradient makes the steps so wide that all others are less than half of one.
    const d = Float32Array.from({ length: ROWS * COLUMNS }, (_, i) => (i === 0 ? 1 : 1e-3 * random.uniform()));
    const feeds = feedsOf(given, x, d);
    const model = modelOf(given, wholes, true);
    const exact = await run(gradientGraph(model, "loss", ["x", "w"]), feeds);
    const nearest = await run(integerModel(model, {}), feeds);
    const draws = 400;
    const mean = await means(integerModel(model, { stochastic: true }), feeds, draws);
    // The variance of one rounding is a quarter of a squared step at most.
    const step = 1 / 253;
    const deviation = (terms: number, factor: number) => (step / 2) * factor * Math.sqrt(terms / draws);
    // 5 deviations: a share of 6e-7 lies outside, of 1,280 entries.
    const [ofX, ofW] = [5 * deviation(COLUMNS, 127), 5 * deviation(ROWS, 1)];
    const off = (name: "x" | "w", found: ArrayLike<number>) =>
      largestError(Float32Array.from(found), dataOf(exact, `grad/${name}`));
    expect(off("x", mean.x)).toBeLessThan(ofX);
    expect(off("w", mean.w)).toBeLessThan(ofW);
    expect(off("x", dataOf(nearest, "grad/x"))).toBeGreaterThan(ofX / 5);
    const lost = dataOf(nearest, "grad/w").slice(COLUMNS);
    const kept = mean.w.slice(COLUMNS);
    const total = (values: ArrayLike<number>) => Array.from(values).reduce((sum, value) => sum + value, 0);
    expect(total(lost)).not.toBeCloseTo(total(kept), 1);
  },
);

test.each([{}, { stochastic: true }, { format: "ternary" as const }])("zeros stay zeros: %j", async (options) => {
  const given = CASES[0]!;
  const zeros = (count: number) => new Float32Array(count);
  const noise = f32(
    [NOISE_LENGTH],
    normal(NOISE_LENGTH).map(() => random.uniform()),
  );
  const [x, w, d] = [normal(ROWS * INNER), normal(INNER * COLUMNS), normal(ROWS * COLUMNS)];
  for (const [left, weight, gradient] of [
    [zeros(x.length), w, d],
    [x, zeros(w.length), d],
    [x, w, zeros(d.length)],
  ] as const) {
    const feeds = {
      ...feedsOf(given, left, gradient),
      ...("stochastic" in options && { "train/noise/gradients": noise }),
    };
    const found = await run(integerModel(modelOf(given, weight, true), options), feeds, "all");
    const floats = await run(
      gradientGraph(modelOf(given, weight, true), "loss", ["x", "w"]),
      feedsOf(given, left, gradient),
    );
    for (const name of ["y", "grad/x", "grad/w"]) {
      expect(dataOf(found, name).every(Number.isFinite)).toBe(true);
      if (extent(dataOf(floats, name)) === 0) expect(extent(dataOf(found, name))).toBe(0);
    }
  }
});

test("the last product stays in float unless told, and what has no integer form says why", () => {
  const dense = (name: string, x: string, y: string, attributes = {}) =>
    node("Gemm", [x, `${name}.w`], [y], { name, attributes });
  const model = onnxModel(
    {
      inputs: [valueInfo("x", "float32", ["batch", 4])],
      outputs: [valueInfo("y", "float32", ["batch", 4])],
      nodes: [dense("a", "x", "p"), dense("b", "p", "q", { transA: 1 }), dense("c", "q", "y")],
      tensors: ["a.w", "b.w", "c.w"].map((name) => floatTensor(name, [4, 4], normal(16))),
    },
    { opsets: { "": 21 } },
  );
  const parameters = ["a.w", "b.w", "c.w"];
  const { integer, kept } = withIntegerProducts(model, { parameters });
  expect(integer).toEqual([{ node: "a", weight: "a.w", axis: 1 }]);
  expect(kept).toEqual([
    { node: "b", reason: "transA has no integer form" },
    { node: "c", reason: "kept in float32" },
  ]);
  expect(withIntegerProducts(model, { parameters: [] }).model).toBe(model);
  expect(() => withIntegerProducts({ ...model, opsets: { "": 17 } }, { parameters })).toThrow(/opset 17, expected 18/);
});
