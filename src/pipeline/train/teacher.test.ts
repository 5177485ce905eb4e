import { expect, test } from "vitest";
import { memoryData } from "../../containers/training-data.ts";
import { floatTensor, node, onnxModel, valueInfo } from "../../ir/build.ts";
import type { Feeds } from "../../ir/model.ts";
import { type Augment, inOrder, mixup } from "./augment.ts";
import { warp } from "./augment-images.ts";
import { bits, runOf, smallHost, smallModel, spiral, stepOf } from "./small.case.ts";
import { openTeacher, teacherFor, teacherOf } from "./teacher.ts";
import { train } from "./train.ts";

const host = await smallHost();
const SPEC = { kind: "distillation" } as const;

/** Doubles, then squares. */
const square = onnxModel({
  inputs: [valueInfo("x", "float32", ["batch", 2])],
  outputs: [valueInfo("y", "float32", ["batch", 2])],
  nodes: [node("Mul", ["x", "two"], ["double"]), node("Mul", ["double", "double"], ["y"])],
  tensors: [floatTensor("two", [], [2])],
});
const batch = (...data: readonly number[]): Feeds => ({
  x: { dtype: "float32", shape: [data.length / 2, 2], data: Float32Array.from(data) },
});
const numbers = (feeds: Feeds) =>
  Object.fromEntries(Object.entries(feeds).map(([name, { data }]) => [name, [...data]]));

test("a teacher's answer is the mean over all views, other values are those of the first", async () => {
  const targets = new Map([
    ["y", "target"],
    ["double", "feature"],
  ]);
  await using asked = await openTeacher(host, teacherOf(square, targets, "y"));
  const views = [batch(1, 2), batch(3, 4), batch(0, 1)];
  expect(numbers(await asked.targets(views))).toEqual({ target: [40 / 3, 28].map(Math.fround), feature: [2, 4] });
  expect(numbers(await asked.targets(views.slice(0, 1)))).toEqual({ target: [4, 16], feature: [2, 4] });
  await using plain = await openTeacher(host, teacherOf(square, targets));
  expect(numbers(await plain.targets(views))).toEqual({ target: [4, 16], feature: [2, 4] });
});

/** A run towards a small model's own answers, whose samples `augment` moves. */
function imitation(augment: Augment | undefined, views?: number) {
  const { x } = spiral(90);
  const { step, ...lossy } = stepOf(smallModel(), SPEC);
  return runOf({
    ...{ step, epochs: 2, data: memoryData({ x: { dtype: "float32", shape: [90, 2], data: x } }) },
    teacher: teacherFor(smallModel(), SPEC, lossy)!,
    ...(augment && { augment }),
    ...(views !== undefined && { views }),
  });
}

test("views are drawn anew for each of them, the first as the model sees it", async () => {
  const drawn: number[] = [];
  const alike: number[] = [];
  const jitter: Augment = {
    label: "jitter",
    apply({ x, ...rest }, { normal }, sample) {
      const off = normal();
      drawn.push(off);
      if (sample) alike.push(sample.uniform());
      return { ...rest, x: { ...x!, data: (x!.data as Float32Array).map((value) => value + off) } };
    },
  };
  const { state: one } = await train(host, imitation(jitter));
  const alone = drawn.splice(0);
  const { state: three } = await train(host, imitation(jitter, 3));
  const steps = alone.length;
  expect(drawn).toHaveLength(3 * steps);
  expect(new Set(drawn).size).toBe(3 * steps);
  expect(drawn.filter((_, index) => index % 3 === 0)).toEqual(alone);
  expect(alike).toHaveLength(3 * steps);
  expect(new Set(alike).size).toBe(steps);
  expect(new Set(alike.slice(0, 3)).size).toBe(1);
  expect(bits(three)).not.toEqual(bits(one));
  expect(bits((await train(host, imitation(jitter, 3))).state)).toEqual(bits(three));
});

test("views that can't differ, or less than one, are refused", async () => {
  await expect(train(host, imitation(undefined, 2))).rejects.toThrow(
    /2 views of samples that nothing changes are alike/,
  );
  await expect(train(host, imitation(inOrder([mixup(0.5), warp(0.1)]), 3))).rejects.toThrow(
    /3 views of samples that only mixup:0.5,warp:0.1 changes, once for all of them, are alike; .* such as flip or shift/,
  );
  await expect(train(host, imitation(mixup(0.5), 1.5))).rejects.toThrow(/1.5 views; a whole number from 1 is needed/);
});
