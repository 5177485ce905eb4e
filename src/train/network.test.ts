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

test("the gradient of a whole network predicts how its loss changes along random directions", async () => {
  const { model, weights } = await network();
  const names = weights.map(({ name }) => name);
  const bytes = await bytesOfModel(assertLegal(gradientGraph(model, "loss", names)));
  const session = await (await testEngine()).open({ bytes });
  const values = await Promise.all(weights.map(floatsIn));
  const feeds: Feeds = {
    ...normalFeeds(model.graph.inputs),
    ...Object.fromEntries(names.map((name, at) => [name, values[at]!])),
  };
  const { normal } = rng(2);
  const step = 1e-4;
  for (let direction = 0; direction < 3; direction++) {
    // each weight moves in proportion to its size, so that all layers take part and variances stay positive
    const moves = values.map(({ data }) => Float32Array.from(data as Float32Array, (value) => value * normal()));
    const moved = (sign: number): Feeds => {
      const data = (at: number) =>
        (values[at]!.data as Float32Array).map((value, index) => value + sign * step * moves[at]![index]!);
      return { ...feeds, ...Object.fromEntries(names.map((name, at) => [name, { ...values[at]!, data: data(at) }])) };
    };
    const outputs = await session.run(feeds);
    const [above, below] = [await session.run(moved(1), ["loss"]), await session.run(moved(-1), ["loss"])];
    const found = ((above.loss!.data[0] as number) - (below.loss!.data[0] as number)) / (2 * step);
    let [predicted, squares] = [0, 0];
    for (const [at, name] of names.entries())
      for (const [index, slope] of (outputs[`grad/${name}`]!.data as Float32Array).entries()) {
        const part = slope * moves[at]![index]!;
        predicted += part;
        squares += part * part;
      }
    // in units of the size a slope along a random direction has. Relus that change sign on the way and the rounding of the
    // loss in float32 make 0.004; one wrong rule makes some tenths
    expect(Math.abs(found - predicted) / Math.sqrt(squares)).toBeLessThan(2e-2);
  }
  await session.close();
});
