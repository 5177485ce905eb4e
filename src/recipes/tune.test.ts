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

test("a whole channel shares a scale where that is asked for, with the operator set that has the type", () => {
  const forms = (name: string) => {
    const { steps, opset } = tune(schemeNamed(name), { groupSize: "channel" });
    return [steps[0]?.form, steps[0]?.scheme.dtype, steps[0]?.scheme.granularity.per, steps[0]?.algorithm, opset];
  };
  expect(forms("w8")).toEqual(["dq", "int8", "axis", "rtn", 13]);
  expect(forms("w4")).toEqual(["dq", "int4", "axis", "mse", 21]);
  expect(forms("w2")).toEqual(["dq", "int2", "axis", "mse", 25]);
  expect(tune(schemeNamed("w4"), { groupSize: "channel", algorithm: "rtn" }).steps[0]?.algorithm).toBe("rtn");
  expect(() => tune(schemeNamed("w4"), { groupSize: "channel", weights: "asymmetric" })).toThrow(/has no zero point/);
  expect(ignoredSettings(schemeNamed("w4"), { groupSize: "channel" })).toEqual([]);
  expect(ignoredSettings(schemeNamed("w8a8"), { groupSize: "channel" })).toEqual(["groupSize"]);
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
