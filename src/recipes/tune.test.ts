import { expect, test } from "vitest";
import { schemeNamed } from "./schemes.ts";
import { ignoredSettings, tune } from "./tune.ts";

test("no settings give the same scheme back", () => {
  expect(tune(schemeNamed("w4"), { embeddings: false })).toBe(schemeNamed("w4"));
});

test("group size and symmetry reach weights in groups", () => {
  const [step] = tune(schemeNamed("w4"), { groupSize: 128, weights: "symmetric" }).steps;
  expect(step?.scheme).toMatchObject({ dtype: "uint4", symmetric: true, granularity: { per: "group", size: 128 } });
});

test("an algorithm that is a table of its own is refused", () => {
  expect(() => tune(schemeNamed("w8"), { algorithm: "nf4" })).toThrow(/rtn or mse/);
  expect(tune(schemeNamed("w8"), { algorithm: "mse" }).steps[0]?.algorithm).toBe("mse");
});

test("embedding tables take four bits under schemes of fewer than eight", () => {
  expect(tune(schemeNamed("w4"), { embeddings: true }).steps[0]).toMatchObject({
    form: "gather",
    scheme: { dtype: "uint4" },
  });
  expect(tune(schemeNamed("w8"), { embeddings: true }).steps[0]?.scheme.dtype).toBe("uint8");
});

test("the names of transformers.js are a contract", () => {
  expect(() => tune(schemeNamed("q4"), { groupSize: 64 })).toThrow(/fixed contract/);
});

test("settings that a scheme takes no notice of are named", () => {
  const all = {
    activations: "symmetric",
    weights: "symmetric",
    groupSize: 64,
    algorithm: "mse",
    reduceRange: true,
  } as const;
  expect(ignoredSettings(schemeNamed("w8"), all)).toEqual(["activations", "reduceRange"]);
  expect(ignoredSettings(schemeNamed("w8a8"), all)).toEqual(["weights"]);
  expect(ignoredSettings(schemeNamed("fp16"), { embeddings: true, ...all })).toHaveLength(6);
});

test("a reduced range reaches static and dynamic integer weights", () => {
  expect(tune(schemeNamed("w8a8"), { reduceRange: true }).static?.weights.reduceRange).toBe(true);
  expect(tune(schemeNamed("w8a8-dynamic"), { reduceRange: true }).steps[0]?.scheme.reduceRange).toBe(true);
});

test("a group size puts a step in groups in front of the one per channel, where the scheme has kernels for it", () => {
  const scheme = schemeNamed("w4a8-dynamic", "tflite");
  const grains = tune(scheme, { groupSize: 64 }).steps.map(({ scheme: { dtype, granularity } }) => [
    dtype,
    granularity,
  ]);
  expect(grains).toEqual([
    ["int4", { per: "group", size: 64 }],
    ["int4", { per: "axis" }],
    ["int8", { per: "axis" }],
  ]);
  expect(ignoredSettings(scheme, { groupSize: 64 })).toEqual([]);
  expect(() => tune(scheme, { groupSize: 16 })).toThrow(/group size 16: .*w4a8-dynamic take 32, 64, 128, 256/);
  const other = schemeNamed("w8a8-dynamic", "tflite");
  expect(tune(other, { groupSize: 64 }).steps).toEqual(other.steps);
  expect(ignoredSettings(other, { groupSize: 64 })).toEqual(["groupSize"]);
});
