import { expect, test } from "vitest";
import { node, onnxModel, valueInfo } from "../ir/build.ts";
import type { Feeds, Model, NDArray } from "../ir/model.ts";
import { run } from "../passes/same-outputs.case.ts";
import { type LossSpec, lossParts, predictionOf, withLoss } from "./losses.ts";
import { fakeQuantizeNode } from "./ops/fake-quantize.ts";

const floats = (shape: readonly number[], values: readonly number[]): NDArray => ({
  dtype: "float32",
  shape,
  data: Float32Array.from(values),
});
const labels = (values: readonly number[]): NDArray => ({
  dtype: "int64",
  shape: [values.length],
  data: BigInt64Array.from(values, BigInt),
});

/** Hands its input on, so that predictions are what is fed. */
const through: Model = onnxModel({
  inputs: [valueInfo("x", "float32", ["batch", 3])],
  outputs: [valueInfo("y", "float32", ["batch", 3])],
  nodes: [node("Identity", ["x"], ["y"])],
});

const LOGITS = [1, 2, 3, 0, 0, 0];
const x = floats([2, 3], LOGITS);

/** log softmax of one row in double precision. */
const logs = (row: readonly number[], temperature = 1): readonly number[] => {
  const scaled = row.map((value) => value / temperature);
  const sum = Math.log(scaled.reduce((total, value) => total + Math.exp(value), 0));
  return scaled.map((value) => value - sum);
};
const rows = [LOGITS.slice(0, 3), LOGITS.slice(3)];

async function lossOf(spec: LossSpec, feeds: Feeds): Promise<number> {
  const { model, loss } = withLoss(through, spec);
  return (await run(model, { x, ...feeds }))[loss]!.data[0] as number;
}

/** Float32 results against double precision: a few roundings of 6e-8. */
const CLOSE = 6;

test("cross-entropy is the mean of minus the log probability of the label", async () => {
  const expected = -(logs(rows[0]!)[2]! + logs(rows[1]!)[1]!) / 2;
  expect(await lossOf({ kind: "cross-entropy" }, { labels: labels([2, 1]) })).toBeCloseTo(expected, CLOSE);
});

test("smoothing gives every class a little of the label's share", async () => {
  const even = (row: readonly number[]) => logs(row).reduce((sum, value) => sum + value, 0) / 3;
  const expected = -(0.9 * (logs(rows[0]!)[2]! + logs(rows[1]!)[1]!) + 0.1 * (even(rows[0]!) + even(rows[1]!))) / 2;
  const found = await lossOf({ kind: "cross-entropy", smoothing: 0.1 }, { labels: labels([2, 1]) });
  expect(found).toBeCloseTo(expected, CLOSE);
});

test("ignored labels count neither above nor below the line, be they a class number or not", async () => {
  const expected = -logs(rows[0]!)[2]!;
  for (const ignore of [-100, -1, 0])
    expect(
      await lossOf({ kind: "cross-entropy", ignore }, { labels: labels([2, ignore]) }),
      String(ignore),
    ).toBeCloseTo(expected, CLOSE);
  expect(await lossOf({ kind: "cross-entropy", ignore: -100 }, { labels: labels([-100, -100]) })).toBeCloseTo(0, CLOSE);
});

test("mse is the mean over all elements", async () => {
  expect(await lossOf({ kind: "mse" }, { target: floats([2, 3], [0, 2, 3, 0, 0, 2]) })).toBeCloseTo(5 / 6, CLOSE);
});

test("distillation is the divergence from the teacher at a temperature, times its square; 0 for the teacher itself", async () => {
  const teacher = [2, 0, 1, 1, 0, 3];
  const divergence = (index: number): number => {
    const [own, other] = [logs(rows[index]!, 2), logs(teacher.slice(index * 3, index * 3 + 3), 2)];
    return other.reduce((sum, value, at) => sum + Math.exp(value) * (value - own[at]!), 0);
  };
  const spec = { kind: "distillation", temperature: 2 } as const;
  const found = await lossOf(spec, { target: floats([2, 3], teacher) });
  expect(found).toBeCloseTo((4 * (divergence(0) + divergence(1))) / 2, CLOSE);
  expect(await lossOf(spec, { target: x })).toBeCloseTo(0, CLOSE);
});

test("a mix adds its losses times their weights and reads one target for each", async () => {
  const target = floats([2, 3], [2, 0, 1, 1, 0, 3]);
  const single = [
    await lossOf({ kind: "cross-entropy" }, { labels: labels([2, 1]) }),
    await lossOf({ kind: "distillation" }, { target }),
  ];
  const mix: LossSpec = {
    kind: "mix",
    parts: [
      { weight: 0.3, loss: { kind: "cross-entropy" } },
      { weight: 0.7, loss: { kind: "distillation" } },
    ],
  };
  expect(withLoss(through, mix).targets.map(({ name }) => name)).toEqual(["labels", "target"]);
  expect(lossParts(mix)).toBe(mix.parts);
  expect(await lossOf(mix, { labels: labels([2, 1]), target })).toBeCloseTo(0.3 * single[0]! + 0.7 * single[1]!, CLOSE);
});

test("a mix of nothing, and one with two sets of labels, are refused", () => {
  expect(() => withLoss(through, { kind: "mix", parts: [] })).toThrow(/mix of no losses/);
  const part = { weight: 1, loss: { kind: "cross-entropy" } } as const;
  expect(() => withLoss(through, { kind: "mix", parts: [part, part] })).toThrow(/two losses of a mix read labels/);
});

test("a Softmax at the end is left out where classes are compared, and kept where values are", () => {
  const nodes = [node("Identity", ["x"], ["z"]), node("Softmax", ["z"], ["y"])];
  const { graph } = onnxModel({ ...through.graph, nodes });
  expect(predictionOf(graph, "y", { kind: "distillation" })).toBe("z");
  expect(predictionOf(graph, "y", { kind: "mse" })).toBe("y");
  const onGrid = [
    nodes[0]!,
    node("Softmax", ["z"], ["s"]),
    fakeQuantizeNode(["s", "scale"], "y", { low: 0, high: 255 }),
  ];
  const codes = onnxModel({ ...through.graph, nodes: onGrid });
  expect(predictionOf(codes.graph, "y", { kind: "distillation" })).toBe("z");
});
