import { expect, test } from "vitest";
import { floatTensor, node, onnxModel, valueInfo } from "../ir/build.ts";
import type { Dim, Model } from "../ir/model.ts";
import { rng } from "../numeric/rng.ts";
import { normToConv } from "./norm-to-conv.ts";
import { applied, context, opsOf } from "./same-outputs.case.ts";

/** One float32 product and sum where the normalization rounds four times. */
const tolerance = 1e-6;
const { normal } = rng(13);

interface Parts {
  readonly shape?: readonly Dim[];
  readonly channels?: number;
  readonly training?: number;
}

/** What two inputs give in a row of channels, normalized. */
function model({ shape = ["n", 2, 4, 4], channels = 4, training = 0 }: Parts): Model {
  const vector = (name: string, of: () => number) =>
    floatTensor(name, [channels], Array.from({ length: channels }, of));
  const attributes = { epsilon: 1e-3, training_mode: training };
  return onnxModel({
    inputs: ["a", "b"].map((name) => valueInfo(name, "float32", shape)),
    outputs: [valueInfo("y", "float32")],
    nodes: [
      node("Concat", ["a", "b"], ["c"], { attributes: { axis: 1 } }),
      node("BatchNormalization", ["c", "gamma", "beta", "mean", "var"], ["y"], { name: "norm", attributes }),
    ],
    tensors: [
      vector("gamma", normal),
      vector("beta", normal),
      vector("mean", normal),
      vector("var", () => 1 + normal() ** 2),
    ],
    values: [
      valueInfo(
        "c",
        "float32",
        shape.map((dim, axis) => (axis === 1 ? channels : dim)),
      ),
    ],
  });
}

test("a batch normalization behind no product becomes a depthwise convolution", async () => {
  const after = await applied(normToConv, model({}), { tolerance });
  expect(opsOf(after)).toEqual(["Concat", "Conv"]);
  const [, conv] = after.graph.nodes;
  expect(conv!.name).toBe("norm");
  expect(conv!.attributes.group).toEqual({ type: "int", value: 4 });
});

test.each([
  ["of lines", { shape: ["n", 2, 4] }],
  ["of rows", { shape: ["n", 2] }],
  ["that counts", { training: 1 }],
] as const)("one %s stays", async (_, parts) => {
  const before = model(parts);
  expect((await normToConv.apply(before, context)).graph).toBe(before.graph);
});

test("one whose channels nobody knows stays", async () => {
  const { graph, ...rest } = model({});
  const before = { ...rest, graph: { ...graph, values: new Map() } };
  expect((await normToConv.apply(before, context)).graph).toBe(before.graph);
});
