import { expect, test } from "vitest";
import { node, onnxModel, valueInfo } from "../../ir/build.ts";
import type { NDArray } from "../../ir/model.ts";
import { run } from "../../passes/same-outputs.case.ts";
import { gradientGraph } from "../gradient.ts";

/** Max pooling of 2 by 2 and the sum of it; with open lengths its gradient takes the general way. */
const pooled = (open: boolean) =>
  onnxModel({
    inputs: [valueInfo("x", "float32", open ? ["n", 2, "h", "w"] : ["n", 2, 4, 4])],
    outputs: [valueInfo("loss", "float32", [])],
    nodes: [
      node("MaxPool", ["x"], ["y"], { attributes: { kernel_shape: [2, 2], strides: [2, 2] } }),
      node("Mul", ["y", "y"], ["z"]),
      node("ReduceSum", ["z"], ["loss"], { attributes: { keepdims: 0 } }),
    ],
  });

/** Few different numbers, so that most windows have several that are largest. */
const array = (shape: readonly number[]): NDArray => ({
  dtype: "float32",
  shape,
  data: Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => 1 + ((i * i) % 3)),
});

test("of several largest elements the first takes the gradient, whichever way it is computed", async () => {
  const feeds = { x: array([3, 2, 4, 4]) };
  const [open, known] = await Promise.all(
    [true, false].map((lengths) => run(gradientGraph(pooled(lengths), "loss", ["x"]), feeds)),
  );
  expect(known!["grad/x"]).toEqual(open!["grad/x"]);
  expect(known!["grad/x"]!.data.filter((value) => value !== 0)).toHaveLength(24);
});

test("windows that tile what they pool need no positions from the engine", () => {
  const ops = (open: boolean) => gradientGraph(pooled(open), "loss", ["x"]).graph.nodes.map(({ op }) => op);
  expect(ops(true)).toContain("ScatterElements");
  expect(ops(false)).not.toContain("ScatterElements");
});
