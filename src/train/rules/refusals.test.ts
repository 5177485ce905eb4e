import { expect, test } from "vitest";
import { ELEMENT_TYPES } from "../../containers/onnx/dtypes.ts";
import { type AttributeInit, floatTensor, intTensor, node, onnxModel, valueInfo } from "../../ir/build.ts";
import type { Node } from "../../ir/model.ts";
import { gradientGraph } from "../gradient.ts";

/** Differentiates the sum of "y" by the input "x". */
const refused = (nodes: readonly Node[]) =>
  expect(() =>
    gradientGraph(
      onnxModel(
        {
          inputs: [valueInfo("x", "float32", [2, 3, 4, 4])],
          outputs: [valueInfo("loss", "float32", [])],
          nodes: [...nodes, node("ReduceSum", ["y"], ["loss"], { attributes: { keepdims: 0 } })],
          tensors: [
            intTensor("i", [0, 1], [2, 1]),
            floatTensor("u", [2, 3, 4, 4], new Float32Array(96)),
            intTensor("sizes", [2, 3, 8, 8]),
            floatTensor("roi", [8], [0, 0, 0, 0, 1, 1, 1, 1]),
            intTensor("labels", new Array(32).fill(0), [2, 4, 4]),
            intTensor("depth", [3], []),
          ],
        },
        { opsets: { "": 18 } },
      ),
      "loss",
      ["x"],
    ),
  );

const one = (op: string, inputs: readonly string[], attributes: Readonly<Record<string, AttributeInit>> = {}) =>
  refused([node(op, inputs, ["y"], { name: "it", attributes })]);

test("what a rule can't do is refused with the node and the reason", () => {
  one("ScatterND", ["x", "i", "u"], { reduction: "mul" }).toThrow(/node "it" \(ScatterND\): reduction mul has no rule/);
  one("Einsum", ["x"], { equation: "abii->abi" }).toThrow(/node "it" \(Einsum\): "abii->abi" reads a diagonal/);
  one("Einsum", ["x"], { equation: "a...->a" }).toThrow(/node "it" \(Einsum\): "a\.\.\.->a" has axes in front/);
  const crop = { mode: "linear", coordinate_transformation_mode: "tf_crop_and_resize" };
  one("Resize", ["x", "roi", "", "sizes"], crop).toThrow(/node "it" \(Resize\): .*tf_crop_and_resize has no rule/);
  const larger = { mode: "linear", keep_aspect_ratio_policy: "not_larger" };
  one("Resize", ["x", "", "", "sizes"], larger).toThrow(/node "it" \(Resize\): .*not_larger has no rule/);
  const pick = node("Slice", ["x", "depth", "depth"], ["w"]);
  const loss = node("SoftmaxCrossEntropyLoss", ["u", "labels", "w"], ["y"], { name: "it" });
  refused([pick, loss]).toThrow(/node "it" \(SoftmaxCrossEntropyLoss\): the weights of its classes can't be trained/);
  one("OneHot", ["labels", "depth", "x"]).toThrow(/node "it" \(OneHot\): its values can't be trained/);
});

test("a way through half precision is refused, one through integers has no gradient", () => {
  const cast = (dtype: keyof typeof ELEMENT_TYPES) => ({ to: ELEMENT_TYPES[dtype].code });
  const through = (dtype: keyof typeof ELEMENT_TYPES) =>
    refused([
      node("Cast", ["x"], ["c"], { name: "it", attributes: cast(dtype) }),
      node("Cast", ["c"], ["y"], { attributes: cast("float32") }),
    ]);
  through("float16").toThrow(/node "it" \(Cast\): gradients of float16 have no rule; train in float32/);
  through("int32").not.toThrow();
});
