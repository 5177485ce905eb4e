import { expect, test } from "vitest";
import { node, onnxModel, valueInfo } from "../../ir/build.ts";
import { assertLegal } from "../../ir/check.ts";
import type { Feeds, Model, NDArray } from "../../ir/model.ts";
import { elementCount } from "../../numeric/dtypes.ts";
import { rng } from "../../numeric/rng.ts";
import { roundHalfEven, roundToOdd } from "../../numeric/rounding.ts";
import { run } from "../../passes/same-outputs.case.ts";
import { expand } from "../expand.ts";
import { gradientGraph } from "../gradient.ts";
import { type FakeGrid, fakeQuantizeNode } from "./fake-quantize.ts";
import { TRAINING_OPS } from "./index.ts";

interface Case {
  readonly label: string;
  readonly grid: FakeGrid;
  readonly shape: readonly number[];
  readonly scales: readonly number[];
  readonly zeros?: readonly number[];
}

const f32 = (shape: readonly number[], data: ArrayLike<number>): NDArray => ({
  dtype: "float32",
  shape,
  data: Float32Array.from(data),
});

/** Zeros of either sign are one number here. */
const positive = (value: number): number => value + 0;
const plain = ({ data }: NDArray): readonly number[] => Array.from(data as Float32Array, positive);

/** Index of the scale of each element. */
function ownerOf({ shape, grid: { axis, group } }: Case, index: number): number {
  if (axis === undefined) return 0;
  const inner = elementCount(shape.slice(axis + 1));
  const at = Math.floor(index / inner) % shape[axis]!;
  if (group === undefined) return at;
  const outer = Math.floor(index / (inner * shape[axis]!));
  return (outer * (shape[axis]! / group) + Math.floor(at / group)) * inner + (index % inner);
}

/** The formulas of the papers, element by element. */
function reference(given: Case, x: Float32Array, d: Float32Array, scale: Float32Array, zero?: Float32Array) {
  const { low, high, odd } = given.grid;
  const round = odd ? roundToOdd : roundHalfEven;
  const y = new Float32Array(x.length);
  const dx = new Float32Array(x.length);
  const [ds, dz, size] = [0, 0, 0].map(() => new Float64Array(scale.length)) as [
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  const g = 1 / Math.sqrt((x.length / scale.length) * Math.max(high, 1));
  for (let i = 0; i < x.length; i++) {
    const c = ownerOf(given, i);
    const [s, z] = [scale[c]!, roundHalfEven(zero?.[c] ?? 0)];
    const steps = Math.fround(x[i]! / s);
    const code = Math.min(Math.max(round(steps), low - z), high - z);
    const inside = steps >= low - z && steps <= high - z;
    y[i] = code * s;
    dx[i] = inside ? d[i]! : 0;
    ds[c]! += g * d[i]! * (inside ? code - steps : code);
    dz[c]! += inside ? 0 : -g * d[i]! * s;
    size[c]! += g * Math.abs(d[i]!) * Math.max(Math.abs(code), s);
  }
  return { y, dx, ds, dz, size };
}

const modelOf = ({ grid, shape, zeros }: Case, scaleShape: readonly number[], open: boolean): Model =>
  onnxModel(
    {
      inputs: [
        valueInfo("x", "float32", open ? ["batch", ...shape.slice(1)] : shape),
        valueInfo("d", "float32", shape),
        valueInfo("scale", "float32", scaleShape),
        ...(zeros ? [valueInfo("zero", "float32", scaleShape)] : []),
      ],
      outputs: [valueInfo("loss", "float32", []), valueInfo("y", "float32", shape)],
      nodes: [
        fakeQuantizeNode(["x", "scale", ...(zeros ? ["zero"] : [])], "y", grid),
        node("Mul", ["y", "d"], ["weighted"]),
        node("ReduceSum", ["weighted"], ["loss"], { attributes: { keepdims: 0 } }),
      ],
    },
    { opsets: { "": 21 }, formatVersion: 10 },
  );

const scaleShapeOf = ({ shape, grid: { axis, group } }: Case): readonly number[] =>
  axis === undefined
    ? []
    : group === undefined
      ? [shape[axis]!]
      : shape.map((length, at) => (at === axis ? length / group : length));

/** Largest difference, over the sum of the magnitudes of what was added. */
const distance = (found: NDArray, expected: Float64Array, size: Float64Array): number =>
  Math.max(...expected.map((value, index) => Math.abs(value - (found.data[index] as number)) / (size[index]! || 1)));

const thirds = (count: number): readonly number[] => Array.from({ length: count }, (_, i) => 0.05 + 0.03 * i);
const shape = [4, 6, 5];
const signed = (bits: number): FakeGrid => ({ low: -(2 ** (bits - 1)), high: 2 ** (bits - 1) - 1 });
const unsigned = (bits: number): FakeGrid => ({ low: 0, high: 2 ** bits - 1 });
const ternary: FakeGrid = { low: -1, high: 1 };
const odd: FakeGrid = { low: -3, high: 3, odd: true };
const CASES: readonly Case[] = [
  ...[8, 4, 3, 2].map((bits) => ({ label: `signed ${bits} bits`, grid: signed(bits), shape, scales: [0.31] })),
  ...[8, 4, 3, 2].map((bits) => ({ label: `unsigned ${bits} bits`, grid: unsigned(bits), shape, scales: [0.23] })),
  { label: "ternary", grid: ternary, shape, scales: [0.9] },
  { label: "a learned zero point of 4 bits", grid: unsigned(4), shape, scales: [0.2], zeros: [6.3] },
  { label: "a learned zero point of 8 bits", grid: unsigned(8), shape, scales: [0.01], zeros: [99.7] },
  ...[0, 1, 2].map((axis) => ({
    label: `channels on axis ${axis}`,
    grid: { ...signed(4), axis },
    shape,
    scales: thirds(shape[axis]!),
  })),
  {
    label: "channels with zero points",
    grid: { ...unsigned(3), axis: 1 },
    shape,
    scales: thirds(6),
    zeros: [0, 1, 2.4, 3, 4, 7],
  },
  { label: "ternary channels", grid: { ...ternary, axis: 0 }, shape, scales: thirds(4) },
  { label: "odd codes", grid: { ...odd, axis: 0 }, shape, scales: thirds(4) },
  { label: "odd codes in groups", grid: { ...odd, axis: 1, group: 3 }, shape, scales: thirds(4 * 2 * 5) },
  { label: "groups in the middle", grid: { ...signed(4), axis: 1, group: 3 }, shape, scales: thirds(4 * 2 * 5) },
  {
    label: "groups at the end with zero points",
    grid: { ...unsigned(2), axis: 1, group: 2 },
    shape: [3, 8],
    scales: thirds(12).map((scale) => scale * 3),
    zeros: Array.from({ length: 12 }, (_, i) => i % 4),
  },
  { label: "more than eight bits", grid: { low: -(2 ** 30), high: 2 ** 30, axis: 0 }, shape: [6], scales: thirds(6) },
];

/** Few roundings of 6e-8 in each product of a sum, and as many in the sum as chance leaves of its 120. */
const ROUNDINGS = 16 * 6e-8;

test.for(CASES)("values and gradients of fake quantization follow the formulas: $label", async (given) => {
  const random = rng(5);
  const scaleShape = scaleShapeOf(given);
  const count = elementCount(given.shape);
  const x = f32(given.shape, Array.from({ length: count }, random.normal));
  const d = f32(given.shape, Array.from({ length: count }, random.normal));
  const scale = f32(scaleShape, given.scales);
  const zero = given.zeros && f32(scaleShape, given.zeros);
  const feeds: Feeds = { x, d, scale, ...(zero && { zero }) };
  const all = [x, d, scale, zero].map((array) => array?.data as Float32Array);
  const expected = reference(given, all[0]!, all[1]!, all[2]!, all[3]);
  const wrt = ["x", "scale", ...(zero ? ["zero"] : [])];
  for (const [open, optimize] of [
    [false, "none"],
    [true, "all"],
  ] as const) {
    if (open && given.grid.group !== undefined) continue;
    const model = gradientGraph(modelOf(given, scaleShape, open), "loss", wrt);
    const found = await run(assertLegal(expand(model, TRAINING_OPS)), feeds, optimize);
    expect(plain(found.y!)).toEqual([...expected.y].map(positive));
    expect(plain(found["grad/x"]!)).toEqual([...expected.dx].map(positive));
    expect(found["grad/scale"]!.shape).toEqual(scaleShape);
    expect(distance(found["grad/scale"]!, expected.ds, expected.size)).toBeLessThan(ROUNDINGS);
    if (zero) expect(distance(found["grad/zero"]!, expected.dz, expected.size)).toBeLessThan(ROUNDINGS);
  }
});

test("a scale that is not learned gets no gradient, and values outside of the grid none either", async () => {
  const given: Case = { label: "", grid: { ...signed(4), learn: false }, shape: [3], scales: [0.1] };
  const model = expand(gradientGraph(modelOf(given, [], false), "loss", ["x", "scale"]), TRAINING_OPS);
  const feeds = { x: f32([3], [0.5, 0.71, -0.81]), d: f32([3], [1, 1, 1]), scale: f32([], [0.1]) };
  const found = await run(assertLegal(model), feeds);
  expect(plain(found["grad/x"]!)).toEqual([1, 0, 0]);
  expect(plain(found["grad/scale"]!)).toEqual([0]);
});

test("groups that do not divide their axis are refused by name", () => {
  const given: Case = { label: "", grid: { ...signed(4), axis: 1, group: 4 }, shape: [2, 6], scales: [] };
  expect(() => expand(modelOf(given, [2, 2], false), TRAINING_OPS)).toThrow(/"y\/FakeQuantize".*groups of 4.*length 6/);
});
