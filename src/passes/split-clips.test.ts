import { expect, test } from "vitest";
import { floatTensor, node, onnxModel, valueInfo } from "../ir/build.ts";
import { applied, context, opsOf } from "./same-outputs.case.ts";
import { splitClips } from "./split-clips.ts";

const model = (low: string, high: string) =>
  onnxModel({
    inputs: [valueInfo("x", "float32", [64]), valueInfo("open", "float32", [])],
    outputs: [valueInfo("y", "float32", [64])],
    nodes: [node("Clip", ["x", low, high], ["y"])],
    tensors: [-0.5, 0, 0.25, 0.5].map((value) => floatTensor(String(value), [], [value])),
  });

test("bounds that leave out zero or are computed become Max and Min", async () => {
  expect(opsOf(await applied(splitClips, model("0.25", "0.5")))).toEqual(["Max", "Min"]);
  expect(opsOf(await applied(splitClips, model("0.25", "")))).toEqual(["Max"]);
  expect(opsOf(await applied(splitClips, model("", "-0.5")))).toEqual(["Min"]);
  expect(opsOf(await applied(splitClips, model("0", "open")))).toEqual(["Max", "Min"]);
});

test("a clamp around zero stays, as a grid can do it", async () => {
  for (const before of [model("-0.5", "0.5"), model("0", ""), model("", "0.5"), model("", "")])
    expect(await splitClips.apply(before, context)).toBe(before);
});
