import { beforeAll, describe, expect, it } from "vitest";
import { algorithmNamed } from "../algorithms/index.ts";
import type { Engine } from "../engines/contract.ts";
import { type NodeInit, node, onnxModel, tensor, valueInfo } from "../ir/build.ts";
import type { Model, NDArray } from "../ir/model.ts";
import type { Scheme } from "../ir/scheme.ts";
import { axisShape, decodeAxis } from "../kernels/axis.ts";
import { DTYPES, type DType, elementCount } from "../numeric/dtypes.ts";
import { unpackSigned } from "../numeric/packing.ts";
import { bytesOf, nativeEngine, run, wasmEngine } from "./engine.case.ts";
import { type FloatType, feed, fitOf, floats, lowerWith, values, weight } from "./nbits.case.ts";

let engines: readonly Engine[];
beforeAll(async () => {
  engines = [await nativeEngine(), await wasmEngine()];
});

const perAxis: Scheme = { dtype: "int8", symmetric: true, granularity: { per: "axis" } };
const perTensor: Scheme = { ...perAxis, granularity: { per: "tensor" } };
const fourBits: Scheme = { ...perAxis, dtype: "int4", codes: [-8, 7] };
const twoBits: Scheme = { ...perAxis, dtype: "int2", codes: [-2, 1] };

/** The operator set that a scheme needs, and how many bits its codes have. */
const OPSETS: Partial<Record<DType, number>> = { int8: 17, int4: 21, int2: 25 };

interface Case {
  readonly op: string;
  readonly x: readonly number[];
  readonly w: readonly number[];
  /** Axis of the channels. */
  readonly axis: number;
  readonly attributes?: NodeInit["attributes"];
}

const CASES: readonly Case[] = [
  { op: "Conv", x: [1, 4, 9, 9], w: [8, 4, 3, 3], axis: 0 },
  { op: "Conv", x: [1, 6, 9, 9], w: [6, 1, 3, 3], axis: 0, attributes: { group: 6 } },
  { op: "ConvTranspose", x: [1, 4, 5, 5], w: [4, 8, 3, 3], axis: 1 },
  { op: "MatMul", x: [3, 40], w: [40, 12], axis: 1 },
  { op: "MatMul", x: [2, 3, 40], w: [2, 40, 12], axis: 2 },
  { op: "Gemm", x: [3, 40], w: [12, 40], axis: 0, attributes: { transB: 1 } },
];

const modelOf = ({ op, x, w, attributes = {} }: Case, data = weight("w", w, 7), opset = 17): Model =>
  onnxModel(
    {
      inputs: [valueInfo("x", data.dtype, x)],
      outputs: [valueInfo("y", data.dtype)],
      nodes: [node(op, ["x", "w"], ["y"], { name: "op", attributes })],
      tensors: [data],
    },
    { opsets: { "": opset } },
  );

/** The values that the codes stand for. */
function decodedValues({ w, axis }: Case, scheme: Scheme): Float32Array {
  const shape = scheme.granularity.per === "axis" ? axisShape(w, axis) : axisShape([elementCount(w)], 0);
  const data = values(elementCount(w), 7);
  const { codes, scales } = algorithmNamed("rtn").quantize({ values: data, shape: w, axis, dtype: "float32" }, scheme);
  const { bits } = DTYPES[scheme.dtype];
  const whole = bits === 4 || bits === 2 ? unpackSigned(codes, bits, data.length) : new Int8Array(codes.buffer);
  const layout = scheme.granularity.per === "axis" ? shape : { outer: 1, channels: 1, inner: data.length };
  return decodeAxis(whole, layout, { scales, zeroPoints: new Int32Array(scales.length) });
}

describe("weights stored as integers compute like the float values they stand for, to the last bit", () => {
  for (const scheme of [perAxis, perTensor, fourBits, twoBits])
    for (const entry of CASES)
      it(`${entry.op} of [${entry.w}], ${scheme.dtype} per ${scheme.granularity.per}`, async () => {
        const made = lowerWith(modelOf(entry, undefined, OPSETS[scheme.dtype]), [{ form: "dq", scheme }]);
        expect(made.graph.nodes.map(({ op }) => op)).toEqual(["Cast", "Mul", entry.op]);
        const float = modelOf(entry, tensor("w", "float32", entry.w, decodedValues(entry, scheme)));
        const x = feed(entry.x, values(elementCount(entry.x), 3));
        for (const engine of engines)
          expect((await run(engine, made, { x })).y).toEqual((await run(engine, float, { x })).y);
      });

  it("in a lookup", async () => {
    const model = (t = weight("w", [20, 16], 7)): Model =>
      onnxModel({
        inputs: [valueInfo("i", "int64", [3])],
        outputs: [valueInfo("y")],
        nodes: [node("Gather", ["w", "i"], ["y"], { name: "embed" })],
        tensors: [t],
      });
    const i: NDArray = { dtype: "int64", shape: [3], data: BigInt64Array.of(3n, 0n, 19n) };
    const made = lowerWith(model(), [{ form: "dq", scheme: perAxis }]);
    const data = decodedValues({ op: "Gather", x: [3], w: [20, 16], axis: 0 }, perAxis);
    const float = model(tensor("w", "float32", [20, 16], data));
    for (const engine of engines)
      expect((await run(engine, made, { i })).y).toEqual((await run(engine, float, { i })).y);
  });
});

it.each([perAxis, fourBits, twoBits])(
  "the engine decodes $dtype when it loads the model: what runs is the float op alone",
  async (scheme) => {
    for (const entry of CASES.filter(({ op }) => op !== "MatMul")) {
      const model = modelOf(entry, undefined, OPSETS[scheme.dtype]);
      const bytes = await bytesOf(lowerWith(model, [{ form: "dq", scheme }]));
      const plain = await engines[0]!.opHistogram({ bytes: await bytesOf(model) });
      expect(await engines[0]!.opHistogram({ bytes }), entry.op).toEqual(plain);
    }
  },
);

it("the file is about a quarter as large", async () => {
  const entry: Case = { op: "Conv", x: [1, 64, 9, 9], w: [64, 64, 3, 3], axis: 0 };
  const made = lowerWith(modelOf(entry), [{ form: "dq", scheme: perAxis }]);
  expect((await bytesOf(made)).length).toBeLessThan(((await bytesOf(modelOf(entry))).length * 26) / 100);
});

it("float16 weights have float16 scales", async () => {
  const dtype: FloatType = "float16";
  const entry: Case = { op: "MatMul", x: [3, 40], w: [40, 12], axis: 1 };
  const made = lowerWith(modelOf(entry, weight("w", entry.w, 7, dtype)), [{ form: "dq", scheme: perAxis }]);
  expect(made.graph.tensors.get("w_scale")?.dtype).toBe("float16");
  const x = feed(entry.x, values(120, 3), dtype);
  const exact = floats((await run(engines[0]!, modelOf(entry, weight("w", entry.w, 7, dtype)), { x })).y!);
  const found = floats((await run(engines[0]!, made, { x })).y!);
  // 40 products, each weight off by at most half a step of 1/127, activations below 1.
  for (const [at, value] of found.entries()) expect(Math.abs(value - exact[at]!)).toBeLessThanOrEqual(40 / 254);
});

it("an old opset is enough, but not one without broadcasting", () => {
  const entry = CASES[0]!;
  expect(fitOf(modelOf(entry, undefined, 7), "dq", perAxis)).toMatchObject({ tensor: "w", axis: 0 });
  expect(fitOf(modelOf(entry, undefined, 6), "dq", perAxis)).toBe("stored int8 needs opset 7");
  expect(fitOf(modelOf(entry, undefined, 20), "dq", fourBits)).toBe("stored int4 needs opset 21");
});

it("several nodes share the decoded weight", () => {
  const model = onnxModel({
    inputs: [valueInfo("x", "float32", [3, 40])],
    outputs: [valueInfo("y"), valueInfo("z")],
    nodes: [node("MatMul", ["x", "w"], ["y"], { name: "a" }), node("MatMul", ["x", "w"], ["z"], { name: "b" })],
    tensors: [weight("w", [40, 12], 7)],
  });
  const made = lowerWith(model, [{ form: "dq", scheme: perAxis }]);
  expect(made.graph.nodes.map(({ op }) => op)).toEqual(["Cast", "Mul", "MatMul", "MatMul"]);
});
