import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import type { Engine } from "../engines/contract.ts";
import { float, floatTensor, graph, intTensor, node, onnxModel, tensor, valueInfo } from "../ir/build.ts";
import { graphs } from "../ir/edit.ts";
import type { Feeds, Model, NDArray, Node, Tensor } from "../ir/model.ts";
import { readAll } from "../ir/source.ts";
import { bytesOf as rawBytes } from "../numeric/convert.ts";
import { elementCount } from "../numeric/dtypes.ts";
import { weights, words } from "./dynamic.case.ts";
import { nativeEngine, run, sqnr, wasmEngine } from "./engine.case.ts";
import { halves } from "./float16/values.ts";
import { toFloat16 } from "./float16.ts";

let native: Engine;
let wasm: Engine;
beforeAll(async () => {
  native = await nativeEngine();
  wasm = await wasmEngine();
});

const values = (shape: readonly number[], seed: number): NDArray => ({
  dtype: "float32",
  shape,
  data: weights(elementCount(shape), seed),
});
const constant = (name: string, shape: readonly number[], seed: number): Tensor =>
  floatTensor(name, shape, weights(elementCount(shape), seed));
const ops = (model: Model): readonly string[] =>
  [...graphs(model.graph)].flatMap(({ graph }) => graph.nodes.map(({ op }) => op));
const find = (model: Model, op: string): Node => model.graph.nodes.find((node) => node.op === op)!;

/** Half precision carries 11 bits: rounding of values, weights and products leaves well above 50 dB on small models. */
const HALF_DB = 50;

async function sameFunction(model: Model, half: Model, feeds: Feeds): Promise<void> {
  const exact = await run(native, model, feeds);
  for (const engine of [native, wasm])
    expect(sqnr(exact, await run(engine, half, feeds)), engine.name).toBeGreaterThan(HALF_DB);
}

const x44 = [valueInfo("x", "float32", [4, 4])];
const y = [valueInfo("y")];

describe("the conversion to half precision", () => {
  it("turns weights into halves and leaves inputs and outputs in float32", async () => {
    const model = onnxModel({
      inputs: [valueInfo("x", "float32", [4, 8])],
      outputs: y,
      nodes: [node("MatMul", ["x", "w"], ["h"]), node("Relu", ["h"], ["y"])],
      tensors: [constant("w", [8, 6], 1)],
      values: [valueInfo("h", "float32", [4, 6])],
    });
    const { model: half, findings } = await toFloat16(model);
    expect(half.graph.tensors.get("w")?.dtype).toBe("float16");
    expect(half.graph.values.get("h")?.dtype).toBe("float16");
    expect(half.graph.inputs).toEqual(model.graph.inputs);
    expect(half.graph.outputs).toEqual(model.graph.outputs);
    expect(ops(half)).toEqual(["Cast", "MatMul", "Relu", "Cast"]);
    expect(findings).toEqual([]);
    await sameFunction(model, half, { x: values([4, 8], 2) });
  });

  it("changes inputs and outputs too when asked", async () => {
    const model = onnxModel({ inputs: x44, outputs: y, nodes: [node("Relu", ["x"], ["y"])] });
    const { model: half } = await toFloat16(model, { keepIo: false });
    expect(ops(half)).toEqual(["Relu"]);
    expect([half.graph.inputs[0]?.dtype, half.graph.outputs[0]?.dtype]).toEqual(["float16", "float16"]);
  });

  it("gives back the same model when it holds no float32 value", async () => {
    const model = onnxModel({
      inputs: [valueInfo("x", "int64", [2])],
      outputs: [valueInfo("y", "int64")],
      nodes: [node("Abs", ["x"], ["y"])],
    });
    expect((await toFloat16(model)).model).toBe(model);
  });

  it("refuses operator sets from before half precision", async () => {
    const old = onnxModel({ inputs: x44, outputs: y, nodes: [node("Relu", ["x"], ["y"])] }, { opsets: { "": 6 } });
    await expect(toFloat16(old)).rejects.toThrow(/float16 needs opset 7, the model has 6/);
  });

  it("casts a value once for all that read it in the other precision", async () => {
    const model = onnxModel({
      inputs: x44,
      outputs: [valueInfo("a"), valueInfo("b")],
      nodes: [
        node("Sigmoid", ["x"], ["s"]),
        node("Max", ["s", "x"], ["m"]),
        node("Min", ["s", "x"], ["n"]),
        node("Tanh", ["m"], ["a"]),
        node("Tanh", ["n"], ["b"]),
      ],
    });
    const { model: half } = await toFloat16(model);
    // One for x, one for s, one each for m and n, one each for the outputs.
    expect(ops(half).filter((op) => op === "Cast")).toHaveLength(6);
    await sameFunction(model, half, { x: values([4, 4], 3) });
  });

  it("keeps ops without half kernels in float32, with integer inputs and outputs left alone", async () => {
    const model = onnxModel({
      inputs: x44,
      outputs: [valueInfo("v"), valueInfo("i", "int64")],
      nodes: [node("Exp", ["x"], ["e"]), node("TopK", ["e", "k"], ["v", "i"])],
      tensors: [intTensor("k", [2])],
    });
    const { model: half } = await toFloat16(model);
    expect(ops(half)).toEqual(["Cast", "Exp", "Cast", "TopK"]);
    await sameFunction(model, half, { x: values([4, 4], 4) });
  });

  it("keeps ops and nodes the user names", async () => {
    const model = onnxModel({
      inputs: x44,
      outputs: y,
      nodes: [
        node("MatMul", ["x", "w"], ["h"], { name: "first" }),
        node("Relu", ["h"], ["r"], { name: "middle" }),
        node("MatMul", ["r", "w"], ["y"], { name: "last" }),
      ],
      tensors: [constant("w", [4, 4], 5)],
    });
    const { model: half } = await toFloat16(model, { blockedNodes: ["last"] });
    expect([...half.graph.tensors.values()].map(({ dtype }) => dtype).sort()).toEqual(["float16", "float32"]);
    const { model: all } = await toFloat16(model, { blockedOps: ["MatMul"] });
    expect(ops(all)).toEqual(["MatMul", "Cast", "Relu", "Cast", "MatMul"]);
    expect(all.graph.tensors.get("w")).toBe(model.graph.tensors.get("w"));
    await sameFunction(model, half, { x: values([4, 4], 6) });
  });

  it("keeps Resize's scales in float32 even when Resize itself is not kept", async () => {
    const model = onnxModel({
      inputs: [valueInfo("x", "float32", [1, 1, 4, 4])],
      outputs: y,
      nodes: [node("Resize", ["x", "", "scales"], ["y"], { attributes: { mode: "linear" } })],
      tensors: [floatTensor("scales", [4], [1, 1, 2, 2])],
    });
    const { model: half } = await toFloat16(model);
    expect(half.graph.tensors.get("scales")?.dtype).toBe("float32");
    await sameFunction(model, half, { x: values([1, 1, 4, 4], 7) });
  });
});

describe("types that ops make up themselves", () => {
  it("casts to half where float32 was asked for, and fills with halves", async () => {
    const model = onnxModel({
      inputs: [valueInfo("n", "int64", [2]), valueInfo("x", "float32", [2, 3])],
      outputs: y,
      nodes: [
        node("Shape", ["x"], ["shape"]),
        node("ConstantOfShape", ["shape"], ["zeros"]),
        node("ConstantOfShape", ["shape"], ["twos"], {
          attributes: { value: tensor("v", "float32", [1], Float32Array.of(2)) },
        }),
        node("Cast", ["n"], ["c"], { attributes: { to: 1 } }),
        node("Unsqueeze", ["c", "one"], ["column"]),
        node("Sum", ["zeros", "twos", "column", "x"], ["y"]),
      ],
      tensors: [intTensor("one", [1])],
    });
    const { model: half } = await toFloat16(model);
    expect(find(half, "Unsqueeze").inputs[0]).toBe("c");
    expect(half.graph.nodes.filter(({ op, attributes }) => op === "Cast" && attributes.to?.value === 10)).toHaveLength(
      2,
    );
    const n: NDArray = { dtype: "int64", shape: [2], data: BigInt64Array.of(3n, 5n) };
    await sameFunction(model, half, { n, x: values([2, 3], 8) });
  });

  it("keeps lengths exact: half precision has no 4097", async () => {
    const model = onnxModel({
      inputs: [valueInfo("x", "float32", [1, "n"])],
      outputs: [valueInfo("half_length", "int64"), valueInfo("y")],
      nodes: [
        node("Shape", ["x"], ["shape"]),
        node("Cast", ["shape"], ["length"], { attributes: { to: 1 } }),
        node("Div", ["length", "two"], ["halved"]),
        node("Floor", ["halved"], ["whole"]),
        node("Cast", ["whole"], ["half_length"], { attributes: { to: 7 } }),
        node("Neg", ["x"], ["y"]),
      ],
      tensors: [floatTensor("two", [], [2])],
    });
    const { model: half } = await toFloat16(model);
    const found = await run(native, half, { x: values([1, 8195], 9) });
    expect(found.half_length?.data).toEqual(BigInt64Array.of(0n, 4097n));
  });

  it("casts where CastLike would", async () => {
    const model = onnxModel({
      inputs: [valueInfo("mask", "bool", [4, 4]), ...x44],
      outputs: y,
      nodes: [node("CastLike", ["mask", "x"], ["m"]), node("Mul", ["x", "m"], ["y"])],
    });
    const { model: half } = await toFloat16(model);
    expect(ops(half)).not.toContain("CastLike");
    const mask: NDArray = { dtype: "bool", shape: [4, 4], data: Uint8Array.from({ length: 16 }, (_, i) => i % 2) };
    await sameFunction(model, half, { mask, x: values([4, 4], 17) });
  });

  it("adds up in float32 while scattering", async () => {
    const scatter = (reduction: string): Model =>
      onnxModel({
        inputs: x44,
        outputs: y,
        nodes: [node("ScatterND", ["x", "at", "row"], ["y"], { attributes: { reduction } })],
        tensors: [intTensor("at", [1, 1], [2, 1]), constant("row", [2, 4], 18)],
      });
    const { model: half } = await toFloat16(scatter("add"));
    expect(ops(half)).toEqual(["ScatterND"]);
    await sameFunction(scatter("add"), half, { x: values([4, 4], 19) });
    expect(ops((await toFloat16(scatter("none"))).model)).toEqual(["Cast", "ScatterND", "Cast"]);
  });

  it("turns Constant nodes into initializers", async () => {
    const model = onnxModel({
      inputs: x44,
      outputs: y,
      nodes: [
        node("Constant", [], ["half"], { attributes: { value_float: float(0.5) } }),
        node("Constant", [], ["row"], { attributes: { value: floatTensor("", [4], [1, 2, 3, 4]) } }),
        node("Mul", ["x", "half"], ["a"]),
        node("Add", ["a", "row"], ["y"]),
      ],
    });
    const { model: half } = await toFloat16(model);
    expect([...half.graph.tensors.values()].map(({ name, dtype }) => `${name} ${dtype}`)).toEqual([
      "half float16",
      "row float16",
    ]);
    await sameFunction(model, half, { x: values([4, 4], 10) });
  });
});

describe("sub-graphs", () => {
  const branch = (name: string, only: Node) =>
    graph({ name, inputs: [], outputs: [valueInfo(only.outputs[0]!)], nodes: [only] });

  it("convert with the values they capture", async () => {
    const model = onnxModel({
      inputs: [valueInfo("x", "float32", [4, 4]), valueInfo("c", "bool", [])],
      outputs: y,
      nodes: [
        node("MatMul", ["x", "w"], ["h"]),
        node("If", ["c"], ["y"], {
          attributes: {
            then_branch: branch("then", node("Relu", ["h"], ["t"])),
            else_branch: branch("else", node("Min", ["h", "w"], ["e"])),
          },
        }),
      ],
      tensors: [constant("w", [4, 4], 11)],
    });
    const { model: half } = await toFloat16(model);
    for (const taken of [0, 1])
      await sameFunction(model, half, {
        x: values([4, 4], 12),
        c: { dtype: "bool", shape: [], data: Uint8Array.of(taken) },
      });
  });

  it("convert with the values a Loop carries and stacks", async () => {
    const body = graph({
      name: "body",
      inputs: [valueInfo("i", "int64", []), valueInfo("go", "bool", []), valueInfo("state", "float32", [1, 4])],
      outputs: [valueInfo("on", "bool"), valueInfo("next"), valueInfo("row")],
      nodes: [
        node("Identity", ["go"], ["on"]),
        node("MatMul", ["state", "w"], ["next"]),
        node("Max", ["next", "state"], ["row"]),
      ],
    });
    const model = onnxModel({
      inputs: [valueInfo("x", "float32", [1, 4])],
      outputs: [valueInfo("last"), valueInfo("rows")],
      nodes: [node("Loop", ["count", "yes", "x"], ["last", "rows"], { attributes: { body } })],
      tensors: [intTensor("count", [3], []), tensor("yes", "bool", [], Uint8Array.of(1)), constant("w", [4, 4], 13)],
    });
    const { model: half } = await toFloat16(model);
    await sameFunction(model, half, { x: values([1, 4], 14) });
  });
});

describe("values half precision does not have", () => {
  const scaled = (factors: readonly number[]) =>
    onnxModel({
      inputs: x44,
      outputs: y,
      nodes: [
        node("Mul", ["x", "big"], ["h"], { name: "scale" }),
        node("Div", ["h", "big"], ["d"], { name: "unscale" }),
        node("Tanh", ["d"], ["y"]),
      ],
      tensors: [floatTensor("big", [4], factors)],
    });

  it("keeps nodes with weights beyond 65504 in float32 and names both", async () => {
    const model = scaled([1e5, 1, 1, 1]);
    const { model: half, findings } = await toFloat16(model);
    expect(findings).toHaveLength(1);
    expect(findings[0]).toMatchObject({ code: "half-overflow", severity: "warning" });
    expect(findings[0]?.message).toMatch(/"big" holds 100000.*"scale", "unscale" stays in float32/);
    expect(half.graph.tensors.get("big")?.dtype).toBe("float32");
    await sameFunction(model, half, { x: values([4, 4], 15) });
  });

  it("turns a mask's stand-in for infinity into the largest half", async () => {
    const model = onnxModel({
      inputs: [valueInfo("x", "float32", [1, 4]), valueInfo("keep", "float32", [1, 4])],
      outputs: y,
      nodes: [
        node("Sub", ["one", "keep"], ["drop"]),
        node("Mul", ["drop", "lowest"], ["mask"]),
        node("Add", ["x", "mask"], ["scores"]),
        node("Softmax", ["scores"], ["y"]),
      ],
      tensors: [floatTensor("one", [], [1]), floatTensor("lowest", [], [-3.4028234663852886e38])],
    });
    const { model: half, findings } = await toFloat16(model);
    expect(findings.map(({ code, severity }) => [code, severity])).toEqual([["half-infinity", "info"]]);
    const x = values([1, 4], 16);
    await sameFunction(model, half, {
      x,
      keep: { dtype: "float32", shape: [1, 4], data: Float32Array.of(1, 0, 1, 1) },
    });
    const none = await run(native, half, { x, keep: { dtype: "float32", shape: [1, 4], data: new Float32Array(4) } });
    expect([...none.y!.data].every((value) => Number.isFinite(Number(value)))).toBe(true);
  });

  it("counts weights that become zero", async () => {
    const { findings } = await toFloat16(scaled([1e-9, 2e-8, 1, 3e-8]));
    expect(findings.map(({ code, message }) => [code, message])).toEqual([
      ["half-flushed", '2 of 4 weights are too small for float16 and become zero, most of them in "big"'],
    ]);
  });

  it("clamps and keeps like the scripts of transformers.js when asked", async () => {
    const model = scaled([1e5, 1e-9, -0.5, 0]);
    const { model: half, findings } = await toFloat16(model, { rules: "transformers.js" });
    const bits = new Uint16Array((await readAll(half.graph.tensors.get("big")!.data)).slice().buffer);
    // 1e4; 1e-7 is two steps of 2^-24; -0.5; 0.
    expect([...bits]).toEqual([0x70e2, 2, 0xb800, 0]);
    expect(findings.map(({ code }) => code)).toEqual(["half-clamped"]);
  });

  interface Golden {
    readonly float16: readonly {
      readonly input: string;
      readonly min: number;
      readonly max: number;
      readonly sha256: string;
    }[];
  }
  const golden = JSON.parse(readFileSync(new URL("../../tests/golden/q8.json", import.meta.url), "utf8")) as Golden;

  /** As scripts/peers/golden-q8.py makes them. */
  function input(name: string): Float32Array {
    if (name === "weights") return weights(4096, 32, 14);
    if (name === "bits")
      return new Float32Array(
        words(31, 4096).map((word) => ((word & 0x7f800000) === 0x7f800000 ? word & 0x3fffffff : word)).buffer,
      );
    const edges = [
      0,
      -0,
      65504,
      65519,
      65520,
      65536,
      1e4,
      1.0001e4,
      1e-7,
      6e-8,
      5.96e-8,
      ...[24, 25, 26, 14].map((n) => 2 ** -n),
    ];
    return Float32Array.from([...edges, ...edges.map((edge) => -edge), Infinity, -Infinity, 3.4e38, -3.4e38]);
  }

  it.each(golden.float16)(
    "rounds $input clamped to [$min, $max] like numpy, bit for bit",
    ({ input: name, min, max, sha256 }) => {
      const bits = halves(input(name), { min, max });
      expect(createHash("sha256").update(rawBytes(bits)).digest("hex")).toBe(sha256);
    },
  );
});

it("a node name that is taken is not given twice", async () => {
  const model = onnxModel({
    inputs: [valueInfo("x", "float32", [1, 2])],
    outputs: [valueInfo("y", "float32", [1, 2])],
    nodes: [node("MatMul", ["x", "w"], ["p"], { name: "y_cast" }), node("Relu", ["p"], ["y"])],
    tensors: [floatTensor("w", [2, 2], [1, 2, 3, 4])],
  });
  const names = (await toFloat16(model)).model.graph.nodes.map(({ name }) => name).filter((name) => name !== "");
  expect(names.length).toBeGreaterThan(2);
  expect(new Set(names).size).toBe(names.length);
});
