/** Versions that types ask for, as TFLite's own rules have them. */
import { expect, test } from "vitest";
import { node, valueInfo } from "../../ir/build.ts";
import type { DType } from "../../numeric/dtypes.ts";
import { opVersion, type Typed } from "./op-version.ts";

type Case = readonly [op: string, inputs: readonly DType[], output: DType, version: number];

const CASES: readonly Case[] = [
  ["CONV_2D", ["float32", "float32"], "float32", 1],
  ["CONV_2D", ["uint8", "uint8"], "uint8", 1],
  ["CONV_2D", ["float32", "int8"], "float32", 2],
  ["CONV_2D", ["int8", "int8"], "int8", 3],
  ["CONV_2D", ["int8", "int4"], "int8", 7],
  ["DEPTHWISE_CONV_2D", ["int8", "int8"], "int8", 3],
  ["DEPTHWISE_CONV_2D", ["float32", "int8"], "float32", 4],
  ["FULLY_CONNECTED", ["float32", "int8", "float32"], "float32", 3],
  ["FULLY_CONNECTED", ["int8", "int8", "int32"], "int8", 4],
  ["FULLY_CONNECTED", ["int8", "int4", "int32"], "int8", 10],
  ["FULLY_CONNECTED", ["int16", "int4", "int32"], "int16", 13],
  ["FULLY_CONNECTED", ["int8", "int2", "int32"], "int8", 14],
  ["ADD", ["int8", "int8"], "int8", 2],
  ["SUB", ["int8", "int8"], "int8", 2],
  ["MUL", ["int8", "int8"], "int8", 2],
  ["CONCATENATION", ["int16"], "int16", 3],
  ["SOFTMAX", ["int16"], "int16", 3],
  ["RESHAPE", ["int8"], "int8", 1],
  ["AVERAGE_POOL_2D", ["int8"], "int8", 2],
  ["PAD", ["int16"], "int16", 3],
  ["QUANTIZE", ["float32"], "int16", 2],
  ["DEQUANTIZE", ["int4"], "float32", 6],
  ["DEQUANTIZE", ["float16"], "float32", 3],
  ["BATCH_MATMUL", ["int8", "int8"], "int8", 2],
  ["EMBEDDING_LOOKUP", ["int32", "int4"], "float32", 4],
  ["SPLIT", ["int32", "int8"], "int8", 2],
  ["UNIDIRECTIONAL_SEQUENCE_LSTM", ["float32", "float32", "int8"], "float32", 2],
];

const types =
  (values: Readonly<Record<string, Typed>>) =>
  (name: string): Typed | undefined =>
    values[name];

test.each(CASES)("%s of %j giving %s has version %i", (op, inputs, output, version) => {
  const names = inputs.map((_, index) => `x${index}`);
  const values = Object.fromEntries(inputs.map((dtype, index) => [`x${index}`, { dtype, shape: [1, 2, 2, 1] }]));
  const made = node(op, names, ["y"]);
  expect(opVersion(made, types({ ...values, y: { dtype: output } }))).toBe(version);
});

const perChannel = {
  quantization: { qparams: { scale: new Float32Array(2).fill(1), zeroPoint: new Int32Array(2) }, axis: 0 },
};

test("weights with a scale for each channel in front of float values ask for a newer version", () => {
  const values = { x: valueInfo("x"), w: { ...valueInfo("w", "int8"), ...perChannel }, y: valueInfo("y") };
  const of = (op: string) => opVersion(node(op, ["x", "w", ""], ["y"]), types(values));
  expect([of("CONV_2D"), of("DEPTHWISE_CONV_2D"), of("FULLY_CONNECTED")]).toEqual([5, 6, 12]);
});

test("options count: dilation, activations, kept dimensions, missing biases", () => {
  const values = { x: valueInfo("x"), w: valueInfo("w"), y: valueInfo("y") };
  const of = (op: string, attributes: Record<string, number | string>, inputs = ["x", "w", ""]) =>
    opVersion(node(op, inputs, ["y"], { attributes }), types(values));
  expect(of("DEPTHWISE_CONV_2D", { dilation_w_factor: 2 })).toBe(2);
  expect(of("DEPTHWISE_CONV_2D", { dilation_w_factor: 1 })).toBe(1);
  expect(of("TRANSPOSE_CONV", { fused_activation_function: "RELU" })).toBe(4);
  expect(of("TRANSPOSE_CONV", { fused_activation_function: "NONE" })).toBe(1);
  expect(of("FULLY_CONNECTED", { keep_num_dims: 1 })).toBe(5);
  expect(of("FULLY_CONNECTED", {}, ["x", "w"])).toBe(6);
});

test("custom ops have version 1", () => {
  expect(opVersion(node("CONV_2D", ["x"], ["y"], { domain: "custom" }), () => ({ dtype: "int8" }))).toBe(1);
});
