import { expect, test } from "vitest";
import { float, floatTensor, node, tensor, tfliteModel, valueInfo } from "../ir/build.ts";
import type { Tensor } from "../ir/model.ts";
import type { Quantization } from "../ir/scheme.ts";
import { readAll } from "../ir/source.ts";
import { typedView } from "../numeric/convert.ts";
import { encodeHalf } from "../numeric/half.ts";
import { packCodes } from "../numeric/packing.ts";
import { planModel } from "../pipeline/plan.ts";
import { plainRecipe } from "../recipes/recipe.ts";
import { schemeNamed } from "../recipes/schemes.ts";
import { decodeConstants } from "./decode-constants.ts";
import { poolToMean } from "./pool-to-mean.ts";
import { stripFakeQuant } from "./strip-fake-quant.ts";

const perAxis = (scale: readonly number[], axis: number): Quantization => ({
  qparams: { scale: Float32Array.from(scale), zeroPoint: new Int32Array(scale.length) },
  axis,
});

const dense = (weight: Tensor) =>
  tfliteModel({
    inputs: [valueInfo("x", "float32", [1, 2])],
    outputs: [valueInfo("y", "float32", [1, 2])],
    nodes: [node("DEQUANTIZE", ["w"], ["w_float"]), node("FULLY_CONNECTED", ["x", "w_float", ""], ["y"])],
    tensors: [weight],
    values: [valueInfo("w_float", "float32", [2, 2])],
  });

async function decodedWeight(weight: Tensor) {
  const { graph } = await decodeConstants.apply(dense(weight), {});
  const found = graph.tensors.get("w_float")!;
  return { graph, grid: found.grid, values: [...typedView(await readAll(found.data), "float32")] };
}

test("halves behind a DEQUANTIZE become a float constant without a grid", async () => {
  const half = tensor("w", "float16", [2, 2], encodeHalf(Float32Array.of(1, -2, 0.5, 4)));
  const { graph, grid, values } = await decodedWeight(half);
  expect(values).toEqual([1, -2, 0.5, 4]);
  expect(grid).toBeUndefined();
  expect(graph.nodes.map(({ op }) => op)).toEqual(["FULLY_CONNECTED"]);
});

test("codes behind a DEQUANTIZE become floats that remember their grid, int8 and packed int4", async () => {
  const quantization = perAxis([0.5, 2], 0);
  const int8 = await decodedWeight({ ...tensor("w", "int8", [2, 2], Int8Array.of(1, -7, 3, 0)), quantization });
  const int4 = await decodedWeight({ ...tensor("w", "int4", [2, 2], packCodes([1, -7, 3, 0], 4)), quantization });
  expect(int8.values).toEqual([0.5, -3.5, 6, 0]);
  expect(int4.values).toEqual(int8.values);
  expect(int8.grid).toEqual({ qparams: quantization.qparams, axis: 0, codes: [-127, 127] });
  expect(int4.grid?.codes).toEqual([-7, 7]);
});

test("weights that came as codes keep their codes in full integer", async () => {
  const weight = { ...tensor("w", "int8", [2, 2], Int8Array.of(1, -7, 3, 0)), quantization: perAxis([0.5, 2], 0) };
  const model = await decodeConstants.apply(dense(weight), {});
  const plan = planModel(model, plainRecipe(schemeNamed("w8a8", "tflite")));
  expect([...plan.nodes[0]!.weight!.qparams!.scale]).toEqual([0.5, 2]);
});

const fake = (min: number, max: number) => ({
  attributes: { min: float(min), max: float(max), num_bits: 8, narrow_range: 0 },
});

const trained = () =>
  tfliteModel({
    inputs: [valueInfo("x", "float32", [1, 2])],
    outputs: [valueInfo("y", "float32", [1, 2])],
    nodes: [
      node("FAKE_QUANT", ["x"], ["x_fake"], fake(-1, 1.55)),
      node("FULLY_CONNECTED", ["x_fake", "w", ""], ["sum"]),
      node("FAKE_QUANT", ["sum"], ["y"], fake(0, 2.55)),
    ],
    tensors: [floatTensor("w", [2, 2], [1, 2, 3, 4])],
    values: [valueInfo("x_fake", "float32", [1, 2]), valueInfo("sum", "float32", [1, 2])],
  });

test("FAKE_QUANT is taken out, and the plan has its scale and zero point in int8 codes", async () => {
  const model = await stripFakeQuant.apply(trained(), {});
  expect(model.graph.nodes.map(({ op, outputs }) => [op, ...outputs])).toEqual([["FULLY_CONNECTED", "y"]]);
  const plan = planModel(model, plainRecipe(schemeNamed("w8a8", "tflite")));
  const grid = (name: string) => plan.values.find(({ value }) => value === name)?.qparams;
  // (max - min) / 255 = 0.01; zero lies 100 steps above -1, and int8 codes begin at -128
  expect(grid("x")).toEqual({ scale: Math.fround(0.01), zeroPoint: 100 - 128 });
  expect(grid("y")).toEqual({ scale: Math.fround(0.01), zeroPoint: -128 });
});

test("a QUANTIZE with its DEQUANTIZE is a grid too; codes that others read stay", async () => {
  const quantization = { qparams: { scale: Float32Array.of(0.25), zeroPoint: Int32Array.of(3) } };
  const codes = { ...valueInfo("codes", "int8", [1, 2]), quantization };
  const pair = (outputs: readonly string[]) =>
    tfliteModel({
      inputs: [valueInfo("x", "float32", [1, 2])],
      outputs: outputs.map((name) => (name === "codes" ? codes : valueInfo(name, "float32", [1, 2]))),
      nodes: [
        node("QUANTIZE", ["x"], ["codes"]),
        node("DEQUANTIZE", ["codes"], ["rounded"]),
        node("FULLY_CONNECTED", ["rounded", "w", ""], ["y"]),
        ...(outputs.includes("codes") ? [node("RESHAPE", ["codes"], ["other"])] : []),
      ],
      tensors: [floatTensor("w", [2, 2], [1, 2, 3, 4])],
      values: [codes, valueInfo("rounded", "float32", [1, 2])],
    });
  const stripped = await stripFakeQuant.apply(pair(["y"]), {});
  expect(stripped.graph.grids?.get("x")).toEqual({ ...quantization, codes: [-128, 127] });
  const kept = pair(["y", "codes"]);
  expect(await stripFakeQuant.apply(kept, {})).toBe(kept);
});

const pooled = (window: number, activation = "NONE") =>
  tfliteModel({
    inputs: [valueInfo("x", "float32", [1, 8, 8, 3])],
    outputs: [valueInfo("y", "float32", [1, 8 / window, 8 / window, 3])],
    nodes: [
      node("AVERAGE_POOL_2D", ["x"], ["y"], {
        attributes: {
          ...{ padding: "VALID", stride_w: window, stride_h: window, filter_width: window, filter_height: window },
          fused_activation_function: activation,
        },
      }),
    ],
  });

test("an average over whole images becomes MEAN; over parts of them, or with an activation behind, it stays", async () => {
  const mean = await poolToMean.apply(pooled(8), {});
  expect(mean.graph.nodes.map(({ op }) => op)).toEqual(["MEAN"]);
  const axes = mean.graph.tensors.get(mean.graph.nodes[0]!.inputs[1]!)!;
  expect([...typedView(await readAll(axes.data), "int32")]).toEqual([1, 2]);
  for (const model of [pooled(4), pooled(8, "RELU")]) expect(await poolToMean.apply(model, {})).toBe(model);
});
