import { describe, expect, it } from "vitest";
import { bytesOfFile } from "../containers/onnx/roundtrip.case.ts";
import { encodeTflite } from "../containers/tflite/index.ts";
import { float, floatTensor, node, tensor, tfliteModel, valueInfo } from "../ir/build.ts";
import type { Feeds, Model, NDArray, Tensor, TypedArray, ValueInfo } from "../ir/model.ts";
import { readAll } from "../ir/source.ts";
import { decodeFloats } from "../numeric/convert.ts";
import { DTYPES, elementCount } from "../numeric/dtypes.ts";
import { layerCases } from "./tflite-layers.case.ts";
import { randomData } from "./tflite-layers-build.case.ts";
import { referenceSession, tfliteReference } from "./tflite-reference.ts";

const floats = (shape: readonly number[], values: ArrayLike<number>): NDArray => ({
  dtype: "float32",
  shape,
  data: Float32Array.from(values),
});

const none = { fused_activation_function: "NONE" };

const dense = (batch: number | null): Model =>
  tfliteModel({
    inputs: [valueInfo("x", "float32", [batch, 2])],
    outputs: [valueInfo("y", "float32", [batch, 3])],
    values: [valueInfo("m", "float32", [batch, 3])],
    nodes: [
      node("FULLY_CONNECTED", ["x", "w"], ["m"], { attributes: none }),
      node("ADD", ["m", "b"], ["y"], { attributes: none }),
    ],
    tensors: [floatTensor("w", [3, 2], [1, 4, 2, 5, 3, 6]), floatTensor("b", [3], [10, 20, 30])],
  });

const run = async (model: Model, feeds: Feeds, fetches?: readonly string[]) =>
  (await referenceSession(model)).run(feeds, fetches);

describe("a model of floats", () => {
  it("gives the values computed by hand, for any batch", async () => {
    const { y } = await run(dense(null), { x: floats([2, 2], [1, 1, 0, 1]) });
    expect(y).toEqual(floats([2, 3], [15, 27, 39, 14, 25, 36]));
    const none = await run(dense(null), { x: floats([0, 2], []) });
    expect(none.y).toEqual(floats([0, 3], []));
    await expect(run(dense(2), { x: floats([3, 2], [1, 1, 1, 1, 1, 1]) })).rejects.toThrow(/takes 2 at a time/);
  });

  it("shows inner values, inputs and constants that are asked for", async () => {
    const x = floats([1, 2], [1, 1]);
    const { m, b, y } = await run(dense(1), { x }, ["m", "b"]);
    expect(m).toEqual(floats([1, 3], [5, 7, 9]));
    expect(b).toEqual(floats([3], [10, 20, 30]));
    expect(y).toBeUndefined();
  });

  it("has a time for every node where it was opened for that", async () => {
    const session = await referenceSession(dense(1), "reference", { profile: true });
    await session.run({ x: floats([1, 2], [1, 1]) });
    await session.run({ x: floats([1, 2], [1, 1]) });
    const nodes = await session.profile();
    expect(nodes.map(({ node, op, runs }) => [node, op, runs])).toEqual([
      ["m", "FULLY_CONNECTED", 2],
      ["y", "ADD", 2],
    ]);
  });

  it("is opened from its file", async () => {
    const bytes = await bytesOfFile(encodeTflite(dense(1)).main);
    const engine = tfliteReference({ readModel: async () => ({ bytes }) });
    const x = floats([1, 2], [1, 1]);
    for (const place of [{ bytes }, { path: "dense.tflite" }])
      expect(await (await engine.open(place)).run({ x })).toEqual({ y: floats([1, 3], [15, 27, 39]) });
    await expect(tfliteReference().open({ path: "dense.tflite" })).rejects.toThrow(/pass the model's bytes/);
  });
});

/** Elements of a value as the reals they stand for. */
function reals(
  { quantization, shape = [] }: Pick<ValueInfo, "quantization" | "shape">,
  codes: TypedArray,
): Float32Array {
  if (quantization === undefined) return Float32Array.from(codes, Number);
  const { scale, zeroPoint } = quantization.qparams;
  const inner = elementCount((shape as readonly number[]).slice((quantization.axis ?? 0) + 1));
  const channel = (i: number): number => (scale.length > 1 ? Math.floor(i / inner) % scale.length : 0);
  return Float32Array.from(
    codes as Int8Array,
    (code, i) => scale[channel(i)]! * (Number(code) - zeroPoint[channel(i)]!),
  );
}

const asFloat = ({ name, shape }: ValueInfo): ValueInfo => ({ name, dtype: "float32", ...(shape && { shape }) });

async function floatConstant(constant: Tensor): Promise<Tensor> {
  if (constant.quantization === undefined) return constant;
  const codes = decodeFloats(await readAll(constant.data), constant.dtype, elementCount(constant.shape));
  return floatTensor(constant.name, constant.shape, reals(constant, codes));
}

/** The model with every code replaced by the real it stands for. */
async function inFloats({ graph, ...model }: Model): Promise<Model> {
  const constants = await Promise.all([...graph.tensors.values()].map(floatConstant));
  const tensors = new Map(constants.map((constant) => [constant.name, constant]));
  return {
    ...model,
    graph: { ...graph, tensors, inputs: graph.inputs.map(asFloat), outputs: graph.outputs.map(asFloat) },
  };
}

/**
 * Steps of 8-bit and of 16-bit codes that a layer may lie from the real result, 1 unless told. Half a step is the last
 * rounding. 64-bit sums are rescaled with 15 bits of their factor; factors of the leaky ReLU have 8 bits (XNNPACK); hard
 * swish works in 16-bit steps; tables of 16-bit codes interpolate; 16-bit images are resized in 1/1024 pixels.
 */
const STEPS: Readonly<Record<string, readonly [number, number]>> = {
  CONV_2D: [1, 2],
  DEPTHWISE_CONV_2D: [1, 2],
  TRANSPOSE_CONV: [1, 2],
  HARD_SWISH: [3, 0],
  LEAKY_RELU: [2, 1],
  TANH: [1, 4],
  LOGISTIC: [1, 2],
  SOFTMAX: [1, 12],
  RESIZE_BILINEAR: [1, 256],
};

const stepsOf = ({ graph }: Model): number =>
  (STEPS[graph.nodes[0]!.op] ?? [1, 1])[DTYPES[graph.outputs[0]!.dtype!].bits === 16 ? 1 : 0];

const SINGLE = layerCases().filter(
  ({ model: { graph } }) => graph.nodes.length === 1 && !/QUANTIZE/.test(graph.nodes[0]!.op),
);

describe("a layer of codes", () => {
  for (const { name, model } of SINGLE)
    it(`is the layer of floats within rounding: ${name}`, async () => {
      const { inputs, outputs } = model.graph;
      const codes = inputs.map(({ dtype, shape }, i) => randomData(dtype!, elementCount(shape as number[]), 5 + i));
      const fed = (value: ValueInfo, data: TypedArray): NDArray => ({
        dtype: value.dtype!,
        shape: value.shape as number[],
        data,
      });
      const feeds = Object.fromEntries(inputs.map((input, i) => [input.name, fed(input, codes[i]!)]));
      const real = Object.fromEntries(
        inputs.map((input, i) => [input.name, fed(asFloat(input), reals(input, codes[i]!))]),
      );
      const [ours, wanted] = [await run(model, feeds), await run(await inFloats(model), real)];
      for (const output of outputs) {
        const { min, max } = DTYPES[output.dtype!];
        const { scale, zeroPoint } = output.quantization!.qparams;
        const found = ours[output.name]!.data as Int8Array;
        const far = found.filter((code, i) => {
          const exact = Number(wanted[output.name]!.data[i]!) / scale[0]! + zeroPoint[0]!;
          return Math.abs(code - Math.min(max, Math.max(min, exact))) > stepsOf(model);
        });
        expect(far.length).toBe(0);
      }
    });
});

const relu = (op: string, dtype: "float32" | "float64" = "float32", shape: readonly (number | null)[] = [2]): Model =>
  tfliteModel({
    inputs: [valueInfo("x", dtype, shape)],
    outputs: [valueInfo("y", dtype, shape)],
    nodes: [node(op, ["x"], ["y"])],
  });

const addOf = (b: readonly number[], y: readonly number[]): Model =>
  tfliteModel({
    inputs: [valueInfo("x", "float32", [2, 3])],
    outputs: [valueInfo("y", "float32", y)],
    nodes: [node("ADD", ["x", "b"], ["y"], { attributes: none })],
    tensors: [floatTensor("b", b, new Float32Array(elementCount(b)))],
  });

const x23 = { x: floats([2, 3], [1, 2, 3, 4, 5, 6]) };

describe("what the reference can't run is refused", () => {
  it("an op without a kernel, with those that have one", async () => {
    await expect(referenceSession(relu("ELU"))).rejects.toThrow(
      /^reference: node "y" \(ELU\): the reference has no kernel for this op; it computes ADD, .*TRANSPOSE_CONV$/,
    );
  });

  it("an element type, with those that are computed", async () => {
    const x = { dtype: "float64" as const, shape: [2], data: Float64Array.of(1, 2) };
    await expect(run(relu("RELU", "float64"), { x })).rejects.toThrow(
      /node "y" \(RELU\): "x" is float64; the reference computes this op in float32, int8, uint8, int16/,
    );
  });

  it("an activation that LiteRT knows and the reference does not", async () => {
    const model = addOf([3], [2, 3]);
    const [add] = model.graph.nodes;
    const other = node("ADD", add!.inputs, add!.outputs, { attributes: { fused_activation_function: "SIGN_BIT" } });
    const refused = run({ ...model, graph: { ...model.graph, nodes: [other] } }, x23);
    await expect(refused).rejects.toThrow(/activation SIGN_BIT is not computed; known are NONE, RELU/);
  });

  it("shapes that don't go together", async () => {
    await expect(run(addOf([2], [2, 3]), x23)).rejects.toThrow(/shapes \[2,3\] and \[2\] don't broadcast/);
    await expect(run(addOf([3], [3, 2]), x23)).rejects.toThrow(/declared as \[3,2\], the op gives \[2,3\]/);
  });

  it("a value larger than any layer", async () => {
    const model = {
      ...relu("RELU"),
      graph: { ...relu("RELU").graph, outputs: [valueInfo("y", "float32", [2 ** 40])] },
    };
    await expect(run(model, { x: floats([2], [1, 2]) })).rejects.toMatchObject({ code: "limit" });
  });

  it("windows that would never end", async () => {
    const pool = node("MAX_POOL_2D", ["x"], ["y"], {
      attributes: { ...none, padding: "VALID", filter_height: 1, filter_width: 1, stride_h: 0, stride_w: 1 },
    });
    const image = valueInfo("x", "float32", [1, 2, 2, 1]);
    const model = tfliteModel({ inputs: [image], outputs: [{ ...image, name: "y" }], nodes: [pool] });
    await expect(run(model, { x: floats([1, 2, 2, 1], [1, 2, 3, 4]) })).rejects.toThrow(/stride 0/);
  });

  it("indices outside of an axis", async () => {
    const model = tfliteModel({
      inputs: [valueInfo("x", "float32", [2, 3])],
      outputs: [valueInfo("y", "float32", [1, 3])],
      nodes: [node("GATHER", ["x", "i"], ["y"], { attributes: { axis: 0 } })],
      tensors: [tensor("i", "int32", [1], Int32Array.of(2))],
    });
    await expect(run(model, x23)).rejects.toThrow(/index out of an axis of 2: 2 was given/);
  });

  it("models of other containers, values that nobody computes, and closed sessions", async () => {
    await expect(referenceSession({ ...dense(1), container: "onnx" })).rejects.toThrow(/runs tflite models/);
    await expect(run(dense(1), { x: floats([1, 2], [1, 1]) }, ["z"])).rejects.toThrow(
      /no output "z"; its outputs are "y"/,
    );
    const session = await referenceSession(dense(1));
    await session.close();
    await expect(session.run({ x: floats([1, 2], [1, 1]) })).rejects.toThrow(/the session is closed/);
  });
});

it("options are read in either number type", async () => {
  const leaky = (alpha: number) => {
    const attributes = { alpha: float(alpha) };
    const model = relu("LEAKY_RELU");
    return { ...model, graph: { ...model.graph, nodes: [node("LEAKY_RELU", ["x"], ["y"], { attributes })] } };
  };
  const x = floats([2], [-8, 8]);
  expect((await run(leaky(0.25), { x })).y).toEqual(floats([2], [-2, 8]));
  expect((await run(leaky(2), { x })).y).toEqual(floats([2], [-16, 8]));
});
