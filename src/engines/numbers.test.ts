import { expect, test } from "vitest";
import { node, tfliteModel } from "../ir/build.ts";
import type { NDArray } from "../ir/model.ts";
import { ownFeeds } from "./contract.ts";
import { sessionInNumbers } from "./numbers.ts";
import { referenceSession } from "./tflite-reference.ts";

const port = (name: string) => ({
  name,
  dtype: "int8" as const,
  shape: [1, 4],
  quantization: { qparams: { scale: Float32Array.of(0.5), zeroPoint: Int32Array.of(-3) } },
});
const codes = tfliteModel({
  inputs: [port("x")],
  outputs: [port("y")],
  nodes: [node("RESHAPE", ["x"], ["y"], { attributes: { new_shape: { type: "ints", value: [1, 4] } } })],
});
const x: NDArray = { dtype: "float32", shape: [1, 4], data: Float32Array.of(-1, 0, 0.5, 100) };

test("a model of codes is fed and gives numbers, which its file takes as codes", async () => {
  const session = sessionInNumbers(await referenceSession(codes));
  const { y } = await session.run({ x });
  expect(y?.dtype).toBe("float32");
  expect([...(y!.data as Float32Array)]).toEqual([-1, 0, 0.5, 65]);
  expect(ownFeeds(session, { x })).toEqual({ x: { ...x, dtype: "int8", data: Int8Array.of(-5, -3, -2, 127) } });
});

test("a model of floats is fed as it is", async () => {
  const { inputs, outputs, nodes } = codes.graph;
  const plain = ({ name, shape }: (typeof inputs)[number]) => ({ name, dtype: "float32" as const, shape: shape! });
  const floats = tfliteModel({ inputs: inputs.map(plain), outputs: outputs.map(plain), nodes });
  const session = await referenceSession(floats);
  expect(sessionInNumbers(session)).toBe(session);
  expect(ownFeeds(session, { x })).toEqual({ x });
});
