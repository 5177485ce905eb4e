import { describe, expect, it } from "vitest";
import { schemeNamed } from "./schemes.ts";
import { forModel, q8Weights, SUFFIXES, TRANSFORMERS_JS, transformersJsScheme } from "./transformers-js.ts";

const stepFor = (name: string, op: string, facts: Parameters<typeof forModel>[1]) =>
  forModel(transformersJsScheme(name), facts).steps.find(({ ops }) => ops?.includes(op))?.scheme;

const plain = new Set(["MatMul", "Add"]);

describe("the dtypes of transformers.js", () => {
  it("have the suffixes its loader asks for (utils/dtypes.js)", () => {
    expect(Object.fromEntries(SUFFIXES)).toEqual({
      fp16: "_fp16",
      int8: "_int8",
      uint8: "_uint8",
      q8: "_quantized",
      q4: "_q4",
      q4f16: "_q4f16",
      q2: "_q2",
      q2f16: "_q2f16",
      q1: "_q1",
      q1f16: "_q1f16",
      bnb4: "_bnb4",
    });
  });

  it("are schemes by the same name, but fp16 is fewbit's unless a folder asks", () => {
    for (const { name } of TRANSFORMERS_JS.filter(({ name }) => name !== "fp16"))
      expect(schemeNamed(name)).toBe(transformersJsScheme(name));
    expect(schemeNamed("fp16").float16).toBe("fewbit");
    expect(transformersJsScheme("fp16").float16).toBe("transformers.js");
  });

  it("give q8 unsigned weights where a signed kernel is missing or slow", () => {
    expect(q8Weights(plain)).toBe("int8");
    for (const op of ["Conv", "GroupQueryAttention", "MultiHeadAttention"])
      expect(q8Weights(new Set([...plain, op]))).toBe("uint8");
    expect(stepFor("int8", "MatMul", { ops: new Set(["Conv"]) })?.dtype).toBe("int8");
  });

  it("quantize matrices per column in a reduced range, except for the listed model types", () => {
    for (const modelType of ["bert", undefined])
      expect(stepFor("q8", "MatMul", { ops: plain, ...(modelType ? { modelType } : {}) })).toEqual({
        dtype: "int8",
        symmetric: true,
        granularity: { per: "axis" },
        reduceRange: true,
      });
    expect(stepFor("q8", "MatMul", { ops: plain, modelType: "whisper" })).toMatchObject({
      granularity: { per: "tensor" },
      reduceRange: false,
    });
  });

  it("quantize tables per tensor over the whole unsigned range, whatever the rest does", () => {
    expect(stepFor("int8", "Gather", { ops: plain, modelType: "bert" })).toEqual({
      dtype: "uint8",
      symmetric: false,
      granularity: { per: "tensor" },
    });
  });

  it("leave schemes alone that do not depend on the model", () => {
    const q4 = transformersJsScheme("q4");
    expect(forModel(q4, { ops: new Set(["Conv"]), modelType: "gpt2" })).toBe(q4);
  });
});
