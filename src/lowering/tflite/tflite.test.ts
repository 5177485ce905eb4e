import { expect, test } from "vitest";
import { withGraph } from "../../ir/edit.ts";
import type { Model } from "../../ir/model.ts";
import type { Stats } from "../../ir/stats.ts";
import { empty, update } from "../../observers/accumulate.ts";
import { withConstantRanges } from "../../pipeline/constant-ranges.ts";
import { planModel } from "../../pipeline/plan.ts";
import { observedIn } from "../../pipeline/plan-static.ts";
import { quantize } from "../../pipeline/quantize.ts";
import { plainRecipe } from "../../recipes/recipe.ts";
import { schemeNamed } from "../../recipes/schemes.ts";
import { tune } from "../../recipes/tune.ts";
import { smallNet, widened } from "./small.case.ts";

const statsFor = (names: readonly string[]): Stats => ({
  version: 1,
  model: "",
  samples: 1,
  values: Object.fromEntries(names.map((name) => [name, update(empty, Float32Array.of(-1, 0.5, 2), name, 1)])),
});

async function lowered(model: Model, scheme: string, settings = {}) {
  const recipe = plainRecipe(tune(schemeNamed(scheme, "tflite"), settings));
  const plan = await withConstantRanges(planModel(model, recipe), model);
  const made = await quantize(model, plan, statsFor(observedIn(plan.values)));
  return { plan, graph: made.model.graph };
}

const ops = ({ nodes }: Model["graph"]): readonly string[] => nodes.map(({ op }) => op);
const typeIn = ({ values, inputs, outputs }: Model["graph"], name: string) =>
  [...inputs, ...outputs].find((port) => port.name === name) ?? values.get(name);

test("full integer: one QUANTIZE in front, one DEQUANTIZE behind, all between as int8 codes", async () => {
  const { graph, plan } = await lowered(smallNet(), "w8a8");
  expect(ops(graph)).toEqual(["QUANTIZE", ...ops(smallNet().graph), "DEQUANTIZE"]);
  for (const name of ["features", "shifted", "pooled", "flat", "scores"])
    expect(typeIn(graph, name)?.dtype).toBe("int8");
  expect(typeIn(graph, "image")?.dtype).toBe("float32");
  expect(typeIn(graph, "classes")?.dtype).toBe("float32");
  expect(plan.kept).toEqual([]);
});

test("weights keep their names, with a scale per output channel and no zero point; biases are int32 on the scale of the products", async () => {
  const { graph } = await lowered(smallNet(), "w8a8");
  const kernel = graph.tensors.get("kernel")!;
  expect([kernel.dtype, kernel.quantization?.axis, kernel.quantization?.qparams.scale.length]).toEqual(["int8", 0, 4]);
  expect([...kernel.quantization!.qparams.zeroPoint]).toEqual([0, 0, 0, 0]);
  const bias = graph.tensors.get("bias")!;
  const input = typeIn(graph, "flat")!.quantization!.qparams.scale[0]!;
  const weights = graph.tensors.get("matrix")!.quantization!.qparams.scale;
  expect(bias.dtype).toBe("int32");
  expect([...bias.quantization!.qparams.scale]).toEqual([...weights].map((scale) => Math.fround(scale * input)));
});

test("pools and reshapes have the scale of what they read, softmax has that of the specification", async () => {
  const { graph } = await lowered(smallNet(), "w8a8");
  const grid = (name: string) => typeIn(graph, name)!.quantization!.qparams;
  expect(grid("pooled")).toEqual(grid("shifted"));
  expect(grid("flat")).toEqual(grid("shifted"));
  const softmax = graph.nodes.find(({ op }) => op === "SOFTMAX")!;
  expect(grid(softmax.outputs[0]!)).toEqual({ scale: Float32Array.of(1 / 256), zeroPoint: Int32Array.of(-128) });
});

test("a constant operand becomes codes that cover its elements", async () => {
  const { graph } = await lowered(smallNet(), "w8a8");
  const add = graph.nodes.find(({ op }) => op === "ADD")!;
  const shift = graph.tensors.get(add.inputs[1]!)!;
  const floats = new Float32Array((await smallNet().graph.tensors.get("shift")!.data.read(0, 16)).slice().buffer);
  const { scale, zeroPoint } = shift.quantization!.qparams;
  const codes = new Int8Array(await shift.data.read(0, 4));
  // half a step is the farthest that rounding goes
  for (const [i, code] of codes.entries())
    expect(Math.abs((code - zeroPoint[0]!) * scale[0]! - floats[i]!)).toBeLessThanOrEqual(scale[0]! / 2 + 1e-7);
});

test("inputs and outputs may be codes themselves, int8 or uint8", async () => {
  const inner = await lowered(smallNet(), "w8a8", { io: "int8" });
  expect(ops(inner.graph)).toEqual(ops(smallNet().graph));
  expect(typeIn(inner.graph, "image")?.dtype).toBe("int8");
  const unsigned = await lowered(smallNet(), "w8a8", { io: "uint8" });
  expect(ops(unsigned.graph)).toEqual(["QUANTIZE", ...ops(smallNet().graph), "QUANTIZE"]);
  const zero = typeIn(inner.graph, "image")!.quantization!.qparams.zeroPoint[0]!;
  expect(typeIn(unsigned.graph, "image")!.quantization!.qparams.zeroPoint[0]).toBe(zero + 128);
});

test("16x8: int16 activations without zero points, int64 biases", async () => {
  const { graph } = await lowered(smallNet(), "w8a16");
  expect(typeIn(graph, "features")?.dtype).toBe("int16");
  expect(typeIn(graph, "features")?.quantization?.qparams.zeroPoint[0]).toBe(0);
  expect(graph.tensors.get("offset")?.dtype).toBe("int64");
  expect(graph.tensors.get("kernel")?.dtype).toBe("int8");
});

test("dynamic range: only weights change, in place", async () => {
  const { graph } = await lowered(smallNet(), "w8a8-dynamic");
  expect(ops(graph)).toEqual(ops(smallNet().graph));
  expect(graph.tensors.get("kernel")?.dtype).toBe("int8");
  expect(graph.tensors.get("matrix")?.dtype).toBe("int8");
  expect(graph.tensors.get("shift")?.dtype).toBe("float32");
});

test("int4 with float activations: matrices per channel or in blocks, convolutions int8", async () => {
  const wide = widened(smallNet());
  const plain = (await lowered(wide, "w4a8-dynamic")).graph;
  expect(ops(plain)).toEqual(ops(wide.graph));
  expect(plain.tensors.get("kernel")?.dtype).toBe("int8");
  expect(plain.tensors.get("matrix")).toMatchObject({ dtype: "int4", quantization: { axis: 0 } });
  const blocked = (await lowered(wide, "w4a8-dynamic", { groupSize: 32 })).graph;
  expect(blocked.tensors.get("matrix")).toMatchObject({
    dtype: "int4",
    quantization: { blocks: { scales: "matrix/scales", size: 32 } },
  });
  expect(blocked.tensors.get("matrix/scales")).toMatchObject({ dtype: "float16", shape: [3, 2] });
});

test("rows that blocks do not divide are stored per channel", async () => {
  const { graph, plan } = await lowered(smallNet(), "w4a8-dynamic", { groupSize: 32 });
  expect(graph.tensors.get("matrix")).toMatchObject({ dtype: "int4", shape: [3, 16], quantization: { axis: 0 } });
  expect(plan.nodes.map(({ weight }) => weight?.scheme.granularity.per)).toEqual(["axis", "axis"]);
});

test("weights only: a DEQUANTIZE in front of the float kernel", async () => {
  for (const [scheme, dtype] of [
    ["w8", "int8"],
    ["w4", "int4"],
    ["fp16", "float16"],
  ] as const) {
    const { graph } = await lowered(smallNet(), scheme);
    // biases are halves where weights are: the runtime then unpacks both when it loads the model
    expect(ops(graph).filter((op) => op === "DEQUANTIZE")).toHaveLength(scheme === "fp16" ? 4 : 2);
    const decode = graph.nodes.find(({ op }) => op === "DEQUANTIZE")!;
    expect(graph.tensors.get(decode.inputs[0]!)?.dtype).toBe(dtype);
    expect(typeIn(graph, decode.outputs[0]!)?.dtype).toBe("float32");
  }
});

/** An op in the middle that has no integer kernel. */
function withFloatOp(): Model {
  const { graph, ...rest } = smallNet();
  const nodes = graph.nodes.flatMap((node) =>
    node.op === "ADD"
      ? [
          { ...node, outputs: ["before"] },
          { ...node, op: "COS", inputs: ["before"] },
        ]
      : [node],
  );
  const values = new Map(graph.values).set("before", { ...graph.values.get("shifted")!, name: "before" });
  return withGraph({ graph, ...rest }, { ...graph, nodes, values });
}

test("an op without an integer kernel gets floats, and codes are made again behind it where products read them", async () => {
  const { graph } = await lowered(withFloatOp(), "w8a8");
  expect(ops(graph)).toEqual([
    ...["QUANTIZE", "CONV_2D", "ADD", "DEQUANTIZE", "COS"],
    ...["AVERAGE_POOL_2D", "RESHAPE", "QUANTIZE", "FULLY_CONNECTED", "SOFTMAX", "DEQUANTIZE"],
  ]);
});

test("all inputs of a concatenation are brought to the scale of its output", async () => {
  const { graph, ...rest } = smallNet();
  const concat = { ...graph.nodes[1]!, op: "CONCATENATION", inputs: ["features", "image"], attributes: {} };
  const model = withGraph({ graph, ...rest }, { ...graph, nodes: [graph.nodes[0]!, concat, ...graph.nodes.slice(2)] });
  const made = await lowered(model, "w8a8");
  const joined = made.graph.nodes.find(({ op }) => op === "CONCATENATION")!;
  const [first, second] = joined.inputs.map((name) => typeIn(made.graph, name)!.quantization!.qparams);
  const output = typeIn(made.graph, joined.outputs[0]!)!.quantization!.qparams;
  expect(first).toEqual(output);
  expect(second).toEqual(output);
  // the convolution writes on that scale at once; the image, which others read too, is put on it by a QUANTIZE
  expect(joined.inputs[0]).toBe("features");
});
