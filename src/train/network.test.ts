import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { readOnnx } from "../containers/onnx/index.ts";
import { intTensor, node, valueInfo } from "../ir/build.ts";
import { assertLegal } from "../ir/check.ts";
import type { Feeds, Model, NDArray, Tensor } from "../ir/model.ts";
import { bytesSource, readAll } from "../ir/source.ts";
import { decodeFloats } from "../numeric/convert.ts";
import { rng } from "../numeric/rng.ts";
import { bytesOfModel, normalFeeds, testEngine } from "../passes/same-outputs.case.ts";
import { gradientGraph } from "./gradient.ts";

const file = new URL("../../demo/characters.onnx", import.meta.url);

/** The demo's network (residual, batch normalization) with the mean log-likelihood of class 0 as its loss and its weights as inputs. */
async function network(): Promise<{ readonly model: Model; readonly weights: readonly Tensor[] }> {
  const model = await readOnnx(bytesSource(new Uint8Array(readFileSync(file))));
  const { graph } = model;
  const weights = [...graph.tensors.values()].filter(({ dtype }) => dtype === "float32");
  const nodes = [
    node("LogSoftmax", [graph.outputs[0]!.name], ["logs"]),
    node("Gather", ["logs", "class"], ["picked"], { attributes: { axis: 1 } }),
    node("ReduceMean", ["picked"], ["loss"], { attributes: { keepdims: 0 } }),
  ];
  const fixed = [...graph.tensors].filter(([, { dtype }]) => dtype !== "float32");
  const tensors = new Map(fixed).set("class", intTensor("class", [0], []));
  const inputs = [...graph.inputs, ...weights.map(({ name, shape }) => valueInfo(name, "float32", shape))];
  const outputs = [valueInfo("loss", "float32", [])];
  return {
    model: { ...model, graph: { ...graph, inputs, outputs, tensors, nodes: [...graph.nodes, ...nodes] } },
    weights,
  };
}

const floatsIn = async (tensor: Tensor): Promise<NDArray> => ({
  dtype: "float32",
  shape: tensor.shape,
  data: Float32Array.from(decodeFloats(await readAll(tensor.data), "float32")),
});

/** One direction in the space of all weights: each moves in proportion to its size, so that variances stay positive. */
const direction = (values: readonly NDArray[], normal: () => number): readonly Float32Array[] =>
  values.map(({ data }) => Float32Array.from(data as Float32Array, (value) => value * normal()));

const moved = (values: readonly NDArray[], moves: readonly Float32Array[], step: number): readonly NDArray[] =>
  values.map((value, at) => ({
    ...value,
    data: (value.data as Float32Array).map((number, index) => number + step * moves[at]![index]!),
  }));

/** Slope along a direction that the gradients predict, and the size such slopes have. */
function predicted(gradients: readonly NDArray[], moves: readonly Float32Array[]) {
  let [slope, squares] = [0, 0];
  for (const [at, { data }] of gradients.entries())
    for (let index = 0; index < data.length; index++) {
      const part = (data as Float32Array)[index]! * moves[at]![index]!;
      slope += part;
      squares += part * part;
    }
  return { slope, size: Math.sqrt(squares) };
}

const STEP = 1e-4;

test("the gradient of a whole network predicts how its loss changes along random directions", async () => {
  const { model, weights } = await network();
  const names = weights.map(({ name }) => name);
  const values = await Promise.all(weights.map(floatsIn));
  const { normal } = rng(2);
  const session = await (await testEngine()).open({
    bytes: await bytesOfModel(assertLegal(gradientGraph(model, "loss", names))),
  });
  try {
    const images = normalFeeds(model.graph.inputs);
    const run = (arrays: readonly NDArray[], fetches?: readonly string[]): Promise<Feeds> =>
      session.run({ ...images, ...Object.fromEntries(names.map((name, at) => [name, arrays[at]!])) }, fetches);
    const outputs = await run(values);
    const gradients = names.map((name) => outputs[`grad/${name}`]!);
    for (let count = 0; count < 3; count++) {
      const moves = direction(values, normal);
      const { slope, size } = predicted(gradients, moves);
      const [above, below] = [
        await run(moved(values, moves, STEP), ["loss"]),
        await run(moved(values, moves, -STEP), ["loss"]),
      ];
      const found = ((above.loss!.data[0] as number) - (below.loss!.data[0] as number)) / (2 * STEP);
      // Relus that change sign on the way and the rounding of the loss in float32 make 0.004; one wrong rule makes some tenths
      expect(Math.abs(found - slope) / size).toBeLessThan(2e-2);
    }
  } finally {
    await session.close();
  }
});
