import { expect, test } from "vitest";
import { floatTensor, node, onnxModel, tensor, valueInfo } from "../../ir/build.ts";
import { assertLegal } from "../../ir/check.ts";
import type { Model, NDArray, Node, Tensor } from "../../ir/model.ts";
import { run } from "../../passes/same-outputs.case.ts";
import { gradientGraph } from "../gradient.ts";

const X = [-9, -1.3, -0.26, 0.1, 0.34, 1.2, 3, 40];

/** x goes in, y comes out, the scale is an input too; the loss is y times 1, 2, 3, ... */
const model = (nodes: readonly Node[], tensors: readonly Tensor[], scale: readonly number[], opset = 17): Model =>
  onnxModel(
    {
      inputs: [valueInfo("x", "float32", [2, 4]), valueInfo("s", "float32", scale)],
      outputs: [valueInfo("loss", "float32", []), valueInfo("y", "float32", [2, 4])],
      nodes: [
        ...nodes,
        node("Mul", ["y", "weights"], ["weighted"]),
        node("ReduceSum", ["weighted"], ["loss"], { attributes: { keepdims: 0 } }),
      ],
      tensors: [floatTensor("weights", [2, 4], [1, 2, 3, 4, 5, 6, 7, 8]), ...tensors],
    },
    { opsets: { "": opset }, formatVersion: 10 },
  );

const float32 = (shape: readonly number[], values: readonly number[]): NDArray => ({
  dtype: "float32",
  shape,
  data: Float32Array.from(values),
});

/** Learned step sizes: rounding error inside the range, the code of the bound outside (arXiv:1902.08153, equation 3). */
function reference(scales: readonly number[], zero: number, [low, high]: readonly [number, number]) {
  const slopes = X.map((x, index) => {
    const position = x / scales[index >> 2]! + zero;
    if (position < low) return { x: 0, s: low - zero };
    if (position > high) return { x: 0, s: high - zero };
    return { x: 1, s: Math.round(position) - position };
  });
  const sums = scales.map((_, row) => slopes.reduce((sum, { s }, at) => sum + (at >> 2 === row ? s * (at + 1) : 0), 0));
  return { x: slopes.map(({ x }, at) => x * (at + 1)), s: sums };
}

async function gradients(trained: Model, scale: NDArray) {
  const outputs = await run(assertLegal(gradientGraph(trained, "loss", ["x", "s"])), {
    x: float32([2, 4], X),
    s: scale,
  });
  return { x: [...(outputs["grad/x"]!.data as Float32Array)], s: [...(outputs["grad/s"]!.data as Float32Array)] };
}

const pair = (zero: string, attributes = {}): readonly Node[] => [
  node("QuantizeLinear", ["x", "s", zero], ["q"], { attributes }),
  node("DequantizeLinear", ["q", "s", zero], ["y"], { attributes }),
];

const rounded = (values: readonly number[]): readonly number[] => values.map((value) => Math.round(value * 1e4) / 1e4);

test("a quantized value gives its scale the gradient of learned step sizes", async () => {
  const zero = tensor("z", "int8", [], Int8Array.from([5]));
  const found = await gradients(model(pair("z"), [zero], []), float32([], [0.125]));
  // one scale for both rows
  const { x, s } = reference([0.125, 0.125], 5, [-128, 127]);
  expect(found.x).toEqual(x);
  expect(rounded(found.s)).toEqual(rounded([s[0]! + s[1]!]));
});

test("each row gets the gradient of its own scale", async () => {
  const zero = tensor("z", "uint8", [2], Uint8Array.from([128, 128]));
  const found = await gradients(model(pair("z", { axis: 0 }), [zero], [2]), float32([2], [0.03, 0.2]));
  const { x, s } = reference([0.03, 0.2], 128, [0, 255]);
  expect(rounded(found.x)).toEqual(x);
  expect(rounded(found.s)).toEqual(rounded(s));
});

test("codes of 4 bits have their own range", async () => {
  const zero = tensor("z", "int4", [2], Uint8Array.from([0]));
  const found = await gradients(model(pair("z", { axis: 0 }), [zero], [2], 21), float32([2], [0.05, 0.5]));
  const { x, s } = reference([0.05, 0.5], 0, [-8, 7]);
  expect(rounded(found.x)).toEqual(x);
  expect(rounded(found.s)).toEqual(rounded(s));
});

test("what is moved between quantization and dequantization keeps its gradient", async () => {
  const moved = [
    node("QuantizeLinear", ["x", "s"], ["q"]),
    node("Transpose", ["q"], ["t"]),
    node("DequantizeLinear", ["t", "s"], ["u"]),
    node("Transpose", ["u"], ["y"]),
  ];
  const found = await gradients(model(moved, [], []), float32([], [0.1]));
  expect(rounded(found.x)).toEqual(reference([0.1, 0.1], 0, [0, 255]).x);
});

test("codes that are floats of 8 bits are refused, and so are trained scales of blocks", () => {
  const eighth = tensor("z", "float8e4m3fn", [], Uint8Array.from([0]));
  expect(() => gradientGraph(model(pair("z"), [eighth], [], 19), "loss", ["x"])).toThrow(/float8e4m3fn have no rule/);
  const blocks = model(pair("", { axis: 1, block_size: 2 }), [], [2, 2], 21);
  expect(() => gradientGraph(blocks, "loss", ["s"])).toThrow(/DequantizeLinear.*scales "s" of blocks/);
});

test("what Dropout dropped has no gradient, and the rest is scaled as it was", async () => {
  const off: readonly Tensor[] = [floatTensor("r", [], [0.4]), tensor("on", "bool", [], Uint8Array.from([1]))];
  const dropping = model(
    [node("Dropout", ["x", "r", "on"], ["y"], { attributes: { seed: 3 } }), node("Identity", ["s"], ["t"])],
    off,
    [],
  );
  const outputs = await run(gradientGraph(dropping, "loss", ["x"]), { x: float32([2, 4], X), s: float32([], [1]) });
  const [y, slopes] = [outputs.y!.data as Float32Array, outputs["grad/x"]!.data as Float32Array];
  expect(rounded([...slopes])).toEqual(rounded([...y].map((value, at) => (value / X[at]!) * (at + 1))));
  expect([...slopes]).toContain(0);
});
