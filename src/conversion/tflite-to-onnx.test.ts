import { expect, test } from "vitest";
import {
  type AttributeInit,
  floatTensor,
  intTensor,
  node,
  onnxModel,
  tensor,
  tfliteModel,
  valueInfo,
} from "../ir/build.ts";
import type { Model, Node, Tensor, ValueInfo } from "../ir/model.ts";
import { bytesSource, readAll } from "../ir/source.ts";
import { decodeFloats } from "../numeric/convert.ts";
import { encodeHalf } from "../numeric/half.ts";
import { rng } from "../numeric/rng.ts";
import { opsOf } from "../passes/same-outputs.case.ts";
import { tfliteToOnnx, toTflite } from "./index.ts";
import { expectConverted, transposes } from "./op.case.ts";

const v = (name: string, ...shape: readonly number[]): ValueInfo => valueInfo(name, "float32", shape);
const t = (name: string, ...shape: readonly number[]): Tensor => {
  const { normal } = rng(shape.length + name.length);
  return floatTensor(
    name,
    shape,
    Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => normal() / 3),
  );
};
const i32 = (name: string, ...values: readonly number[]): Tensor =>
  tensor(name, "int32", [values.length], Int32Array.from(values));

const SAME = { padding: "SAME", stride_h: 1, stride_w: 1 };
const conv = (x: string, filter: string, y: string, more: Readonly<Record<string, AttributeInit>> = {}): Node =>
  node("CONV_2D", [x, filter, "bias"], [y], { name: y, attributes: { ...SAME, ...more } });

/** x [1, 6, 6, 4] -> y. */
const modelOf = (
  nodes: readonly Node[],
  y: ValueInfo,
  values: readonly ValueInfo[],
  tensors: readonly Tensor[],
): Model => tfliteModel({ inputs: [v("x", 1, 6, 6, 4)], outputs: [y], nodes, values, tensors });

const image = (name: string): ValueInfo => v(name, 1, 6, 6, 4);
const WEIGHTS = [t("f1", 4, 3, 3, 4), t("f2", 4, 3, 3, 4), t("bias", 4)];

test("a residual block has Transposes at its ends only", async () => {
  const nodes = [
    conv("x", "f1", "a", { fused_activation_function: "RELU" }),
    conv("a", "f2", "b"),
    node("ADD", ["a", "b"], ["c"], { attributes: { fused_activation_function: "RELU" } }),
    node("MUL", ["c", "gain"], ["d"]),
    conv("d", "f1", "y"),
  ];
  const model = modelOf(nodes, image("y"), ["a", "b", "c", "d"].map(image), [...WEIGHTS, t("gain", 4)]);
  const converted = await expectConverted(model);
  expect(transposes(converted)).toBe(2);
  expect(converted.model.graph.tensors.get("gain")!.shape).toEqual([1, 4, 1, 1]);
  expect(converted.origins.get("gain")).toEqual({ tensor: "gain", perm: [0, 3, 1, 2], shape: [4], dtype: "float32" });
});

test("squeeze and excite, padding and joining stay in one order of axes", async () => {
  const nodes = [
    conv("x", "f1", "a"),
    node("MEAN", ["a", "plane"], ["m"], { attributes: { keep_dims: 1 } }),
    node("LOGISTIC", ["m"], ["s"]),
    node("MUL", ["a", "s"], ["b"]),
    node("PAD", ["b", "edges"], ["p"]),
    node("CONCATENATION", ["p", "p"], ["q"], { attributes: { axis: 3 } }),
    node("MEAN", ["q", "plane"], ["y"], { attributes: { keep_dims: 0 } }),
  ];
  const edges = tensor("edges", "int32", [4, 2], Int32Array.of(0, 0, 1, 1, 0, 2, 0, 0));
  const values = [
    image("a"),
    v("m", 1, 1, 1, 4),
    v("s", 1, 1, 1, 4),
    image("b"),
    v("p", 1, 8, 8, 4),
    v("q", 1, 8, 8, 8),
  ];
  const model = modelOf(nodes, v("y", 1, 8), values, [...WEIGHTS, i32("plane", 1, 2), edges]);
  expect(transposes(await expectConverted(model))).toBe(1);
});

test("names of fused things are cut to their first part, but for inputs, outputs and constants", async () => {
  const nodes = [conv("x", "f;1", "a;b;c"), node("RELU", ["a;b;c"], [";d"]), conv(";d", "f;1", "y;z")];
  const tensors = [{ ...WEIGHTS[0]!, name: "f;1" }, WEIGHTS[2]!];
  const { graph } = (await expectConverted(modelOf(nodes, image("y;z"), [image("a;b;c"), image(";d")], tensors))).model;
  const names = graph.nodes.flatMap(({ name, outputs }) => [name, ...outputs]);
  expect(names.filter((name) => name.includes(";"))).toEqual(["y;z"]);
  expect(names).not.toContain("");
  expect(graph.tensors.has("f;1")).toBe(true);
});

test("gates that Keras brings into shape by a RESHAPE cost no Transpose", async () => {
  const nodes = [
    conv("x", "f1", "a"),
    node("MEAN", ["a", "plane"], ["m"], { attributes: { keep_dims: 0 } }),
    node("RESHAPE", ["m", "gate"], ["r"]),
    node("CONV_2D", ["r", "f3", "bias"], ["s"], { attributes: SAME }),
    node("MUL", ["a", "s"], ["y"]),
  ];
  const values = [image("a"), v("m", 1, 4), v("r", 1, 1, 1, 4), v("s", 1, 1, 1, 4)];
  const tensors = [...WEIGHTS, t("f3", 4, 1, 1, 4), i32("plane", 1, 2), i32("gate", -1, 1, 1, 4)];
  expect(transposes(await expectConverted(modelOf(nodes, image("y"), values, tensors)))).toBe(2);
});

test("a dilated convolution that TensorFlow wrote with blocks in the batch works for any number of samples", async () => {
  const block = [
    i32("block", 2, 2),
    tensor("edges", "int32", [2, 2], Int32Array.of(2, 2, 2, 2)),
    tensor("cuts", "int32", [2, 2], new Int32Array(4)),
  ];
  const nodes = [
    node("SPACE_TO_BATCH_ND", ["x", "block", "edges"], ["a"]),
    conv("a", "f1", "b", { padding: "VALID" }),
    node("BATCH_TO_SPACE_ND", ["b", "block", "cuts"], ["y"]),
  ];
  await expectConverted(modelOf(nodes, image("y"), [v("a", 4, 5, 5, 4), v("b", 4, 3, 3, 4)], [...WEIGHTS, ...block]));
});

test("a shape that is computed at run time is followed", async () => {
  const nodes = [
    node("SHAPE", ["x"], ["shape"], { attributes: { out_type: "INT32" } }),
    node("STRIDED_SLICE", ["shape", "zero", "one", "one"], ["batch"], { attributes: { shrink_axis_mask: 1 } }),
    node("PACK", ["batch", "rest"], ["target"], { attributes: { axis: 0, values_count: 2 } }),
    node("RESHAPE", ["x", "target"], ["r"]),
    node("FILL", ["target", "three"], ["threes"]),
    node("ADD", ["r", "threes"], ["y"]),
  ];
  const int = (name: string, ...shape: readonly number[]) => valueInfo(name, "int32", shape);
  const values = [int("shape", 4), int("batch"), int("target", 2), v("r", 1, 144), v("threes", 1, 144)];
  const rest = tensor("rest", "int32", [], Int32Array.of(144));
  const constants = [i32("zero", 0), i32("one", 1), rest, floatTensor("three", [], [3])];
  const model = tfliteModel({
    inputs: [v("x", 1, 6, 6, 4)],
    outputs: [v("y", 1, 144)],
    nodes,
    values,
    tensors: constants,
  });
  await expectConverted(model);
});

test("what is picked by truth at run time", async () => {
  const nodes = [
    node("GREATER", ["x", "limit"], ["g"]),
    node("WHERE", ["g"], ["places"]),
    node("GATHER_ND", ["x", "places"], ["picked"]),
    node("SUM", ["picked", "axis"], ["y"], { attributes: { keep_dims: 1 } }),
  ];
  const values = [
    valueInfo("g", "bool", [4, 5]),
    valueInfo("places", "int64", [null, 2]),
    valueInfo("picked", "float32", [null]),
  ];
  const tensors = [floatTensor("limit", [], [0]), i32("axis", 0)];
  const model = tfliteModel({ inputs: [v("x", 4, 5)], outputs: [v("y", 1)], nodes, values, tensors });
  await expectConverted(model, { open: false });
});

test("a filter of two convolutions stays one initializer, also when their orders differ", async () => {
  const depthwise = node("DEPTHWISE_CONV_2D", ["a", "f", "bias"], ["y"], {
    attributes: { ...SAME, depth_multiplier: 1 },
  });
  const nodes = [conv("x", "f", "a"), depthwise];
  const tensors = [t("f", 1, 3, 3, 4), t("bias1", 1), t("bias", 4)];
  const first = { ...nodes[0]!, inputs: ["x", "f", "bias1"] };
  const model = modelOf(
    [first, node("TILE", ["a", "four"], ["b"]), { ...depthwise, inputs: ["b", "f", "bias"] }],
    image("y"),
    [v("a", 1, 6, 6, 1), image("b")],
    [...tensors, i32("four", 1, 1, 1, 4)],
  );
  const { model: onnx, origins } = await expectConverted(model);
  expect([...onnx.graph.tensors.values()].filter(({ shape }) => shape.length === 4)).toHaveLength(1);
  expect(origins.get("f")!.tensor).toBe("f");
});

test("weights in half precision become float32 under their names, and go back", async () => {
  const half = (full: Tensor): Tensor => {
    const bits = encodeHalf(decodeFloats(full.data.bytes!, "float32"));
    return { ...full, dtype: "float16", data: bytesSource(new Uint8Array(bits.buffer)) };
  };
  const nodes = [node("DEQUANTIZE", ["f1"], ["wide"]), conv("x", "wide", "y")];
  const model = modelOf(nodes, image("y"), [v("wide", 4, 3, 3, 4)], [half(WEIGHTS[0]!), WEIGHTS[2]!]);
  const { model: onnx, origins } = await expectConverted(model);
  expect(opsOf(onnx)).toEqual(["Transpose", "Conv", "Transpose"]);
  const back = toTflite(onnx.graph.tensors.get("f1")!, origins.get("f1")!);
  expect(await readAll(back.data)).toEqual(await readAll(model.graph.tensors.get("f1")!.data));
});

test("the batch stays open where it was, and fixed where a node allows no other, which is named", async () => {
  const open = tfliteModel({
    inputs: [valueInfo("x", "float32", [null, 3])],
    outputs: [valueInfo("y", "float32", [null, 3])],
    nodes: [node("RELU", ["x"], ["y"])],
  });
  expect((await tfliteToOnnx(open)).model.graph.inputs[0]!.shape).toEqual(["N", 3]);
  const mean = node("MEAN", ["x", "zero"], ["y"], { name: "mix", attributes: { keep_dims: 1 } });
  const fixed = tfliteModel({
    inputs: [v("x", 1, 3)],
    outputs: [v("y", 1, 3)],
    nodes: [mean],
    tensors: [i32("zero", 0)],
  });
  const { model, fixedBatch } = await tfliteToOnnx(fixed);
  expect(model.graph.inputs[0]!.shape).toEqual([1, 3]);
  expect(fixedBatch).toBe('node "mix" (MEAN) allows no other: it works across samples');
  const two = tfliteModel({
    inputs: [v("x", 1, 3), v("z", 2, 3)],
    outputs: [v("y", 2, 3)],
    nodes: [node("ADD", ["x", "z"], ["y"])],
  });
  expect((await tfliteToOnnx(two)).fixedBatch).toBe("the inputs do not begin with the same axis");
});

test("a value with several rows for each sample is not said to begin with the batch", async () => {
  const nodes = [
    node("RESHAPE", ["x", "rows"], ["r"]),
    node("FULLY_CONNECTED", ["r", "w"], ["s"]),
    node("RESHAPE", ["s", "back"], ["y"]),
  ];
  const tensors = [i32("rows", 6, 24), t("w", 5, 24), i32("back", 1, 30)];
  const model = modelOf(nodes, v("y", 1, 30), [v("r", 6, 24), v("s", 6, 5)], tensors);
  const { values, outputs } = (await expectConverted(model)).model.graph;
  expect([values.get("r")!.shape, outputs[0]!.shape]).toEqual([
    [null, 24],
    ["N", 30],
  ]);
});

const refusal = async (
  one: Node,
  changes: { tensors?: readonly Tensor[]; y?: ValueInfo; values?: readonly ValueInfo[] } = {},
) => {
  const { tensors = [], y = image("y"), values = [] } = changes;
  return tfliteToOnnx(modelOf([one], y, values, tensors)).then(
    () => "converted",
    (error: Error) => error.message,
  );
};

test("what can't be converted is refused by name and op, with what can be", async () => {
  const named = (op: string, inputs = ["x"], attributes = {}) => node(op, inputs, ["y"], { name: "it", attributes });
  expect(await refusal(named("LSTM"))).toMatch(
    /^node "it" \(LSTM\): this op can't be converted; known are CONV_2D, .*RESIZE_NEAREST/,
  );
  expect(await refusal({ ...named("Mine"), domain: "custom" })).toMatch(
    /^node "it" \(Mine\): a custom op can't be converted/,
  );
  expect(await refusal(named("QUANTIZE"))).toBe(
    'node "it" (QUANTIZE): quantized models have no equal in plain ONNX; convert the float model',
  );
  const codes = {
    name: "y",
    dtype: "int8" as const,
    shape: [1, 6, 6, 4],
    quantization: { qparams: { scale: Float32Array.of(1), zeroPoint: Int32Array.of(0) } },
  };
  expect(await refusal(named("RELU"), { y: codes })).toBe(
    'node "it" (RELU): "y" is quantized; quantized models have no equal in plain ONNX; convert the float model',
  );
  expect(await refusal(named("RELU"), { y: valueInfo("y", "float16", [1, 6, 6, 4]) })).toBe(
    'node "it" (RELU): "y" holds float16; only models that compute in float32 can be converted',
  );
  expect(await refusal(named("ADD", ["x", "x"], { fused_activation_function: "SIGN_BIT" }))).toMatch(
    /activation SIGN_BIT has no equal; known are RELU, RELU6/,
  );
  expect(
    await refusal(named("CONCATENATION", ["x", "x"], { axis: 0, fused_activation_function: "RELU" }), {
      y: v("y", 2, 6, 6, 4),
    }),
  ).toMatch(/it carries RELU, which runtimes apply or not/);
  expect(
    await refusal(named("FULLY_CONNECTED", ["x", "w"], { weights_format: "SHUFFLED4x16INT8" }), {
      tensors: [t("w", 2, 144)],
      y: v("y", 1, 2),
    }),
  ).toMatch(/SHUFFLED4x16INT8 belong to integer models/);
  expect(await refusal(named("GATHER", ["x", "i"], { axis: 1, batch_dims: 1 }), { tensors: [i32("i", 0)] })).toMatch(
    /batch_dims 1 has no equal/,
  );
  await expect(tfliteToOnnx(onnxModel({ inputs: [], outputs: [], nodes: [] }))).rejects.toThrow(
    "a model in the container onnx can't be converted; expected a TFLite model",
  );
});

test("a damaged file is refused in one sentence", async () => {
  const named = (op: string, inputs: readonly string[], attributes = {}) =>
    node(op, inputs, ["y"], { name: "it", attributes });
  const rows: readonly (readonly [Node, readonly Tensor[], RegExp])[] = [
    [
      named("CONV_2D", ["x", "f"], { padding: "SAME", stride_h: 0, stride_w: 1 }),
      [t("f", 4, 3, 3, 4)],
      /stride_h is 0, expected 1 or more/,
    ],
    [named("CONV_2D", ["x", "f"], { ...SAME, dilation_h_factor: -1 }), [t("f", 4, 3, 3, 4)], /dilations are -1 and 1/],
    [named("CONV_2D", ["x", "f"], SAME), [t("f", 4, 3, 3, 3)], /4 channels can't be divided into groups of 3/],
    [named("CONV_2D", ["x", "f"], SAME), [t("f", 4, 3)], /"f" has 2 axes, expected 4/],
    [named("CONV_2D", ["x"], SAME), [], /node "it" \(CONV_2D\): input 1 is missing/],
    [
      named("DEPTHWISE_CONV_2D", ["x", "f"], SAME),
      [t("f", 1, 3, 3, 6)],
      /a filter for 6 channels does not fit an image of 4/,
    ],
    [named("TRANSPOSE", ["x", "p"]), [i32("p", 0, 0, 1, 2)], /\[0,0,1,2\] is no order of 4 axes/],
    [named("MEAN", ["x", "p"]), [i32("p", 9)], /axis 9 is outside of rank 4/],
    [named("STRIDED_SLICE", ["x", "p", "p", "q"]), [i32("p", 0), i32("q", 0)], /do not fit each other/],
    [named("SLICE", ["x", "p", "p"]), [i32("p", 0)], /do not fit 4 axes/],
    [named("PAD", ["x", "p"]), [i32("p", 0, 1)], /padding \[0,1\] does not fit 4 axes/],
    [named("SPACE_TO_BATCH_ND", ["x", "p", "q"]), [i32("p", 0, 2), i32("q", 0, 0, 0, 0)], /blocks of \[0,2\]/],
    [named("RESIZE_BILINEAR", ["x", "p"]), [i32("p", 0, -3)], /its size is \[0,-3\]/],
    [named("RESHAPE", ["x", "no"]), [], /reads "no"/],
  ];
  for (const [one, tensors, message] of rows) expect(await refusal(one, { tensors })).toMatch(message);
});

test("a model that reads nothing of its input and integer weights beside float ones", async () => {
  const nodes = [node("ADD", ["x", "c"], ["y"])];
  const { origins } = await tfliteToOnnx(modelOf(nodes, image("y"), [], [t("c", 4), t("unused", 3)]));
  expect([...origins.keys()]).toEqual(["c"]);
  expect(() => toTflite(intTensor("c", [1, 2]), origins.get("c")!)).toThrow(/does not become "c"/);
});
