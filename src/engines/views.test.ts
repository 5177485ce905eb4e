import { expect, test } from "vitest";
import { tfliteModel, valueInfo } from "../ir/build.ts";
import type { Feeds, ValueInfo } from "../ir/model.ts";
import type { Session } from "./contract.ts";
import { sessionInNumbers } from "./numbers.ts";
import { portNames, withPortNames } from "./renamed.ts";

/** Gives its feeds out again under the names of its outputs. */
const echo = (inputs: readonly ValueInfo[], outputs: readonly ValueInfo[]): Session => ({
  threads: 1,
  inputs,
  outputs,
  run: async (feeds: Feeds) => Object.fromEntries(outputs.map(({ name }, i) => [name, feeds[inputs[i]!.name]!])),
  profile: async () => [],
  close: async () => {},
});

const codes = (name: string, scale: number, zeroPoint: number): ValueInfo => ({
  ...valueInfo(name, "int8", [1, 3]),
  quantization: { qparams: { scale: Float32Array.of(scale), zeroPoint: Int32Array.of(zeroPoint) } },
});

test("numbers are put on the grid of an input and come back from that of an output", async () => {
  const session = sessionInNumbers(echo([codes("x", 0.5, 1)], [codes("y", 0.25, 1)]));
  expect([session.inputs[0]!.dtype, session.outputs[0]!.dtype]).toEqual(["float32", "float32"]);
  const x = { dtype: "float32", shape: [1, 3], data: Float32Array.of(1.1, -2, 1000) } as const;
  // on the grid of x: 2.2 -> 2, -4, 127 at most; the echo reads them on a grid of half the step
  expect([...(await session.run({ x })).y!.data]).toEqual([0.5, -1, (127 - 1) * 0.25]);
});

test("a session without codes is handed on as it is", () => {
  const plain = echo([valueInfo("x", "float32", [1])], [valueInfo("y", "float32", [1])]);
  expect(sessionInNumbers(plain)).toBe(plain);
});

const named = (input: string, output: string) =>
  tfliteModel({ inputs: [valueInfo(input)], outputs: [valueInfo(output)], nodes: [] });

test("a model answers to the names of another, position by position", async () => {
  const names = portNames(named("image", "classes"), named("image_int8", "classes_int8"))!;
  const inner = echo([valueInfo("image_int8")], [valueInfo("classes_int8")]);
  const engine = { name: "echo", version: "", description: "", open: async () => inner, opHistogram: async () => ({}) };
  const session = await withPortNames(engine, names).open({ path: "" });
  const image = { dtype: "float32", shape: [1], data: Float32Array.of(7) } as const;
  expect(session.inputs[0]!.name).toBe("image");
  expect((await session.run({ image }, ["classes"])).classes).toBe(image);
});

test("equal names, and different numbers of ports, are left alone", () => {
  expect(portNames(named("x", "y"), named("x", "y"))).toBeUndefined();
  const two = tfliteModel({ inputs: [valueInfo("a"), valueInfo("b")], outputs: [valueInfo("y")], nodes: [] });
  expect(portNames(named("x", "y"), two)).toBeUndefined();
});
