// @ts-check
/**
 * The steps one by one on a model built in code: prepare, plan, calibrate, quantize, verify.
 *   node examples/step-by-step.js
 * `make()` does all of this in one call; this is what it does.
 */
import {
  build,
  calibratePlan,
  memoryDataset,
  noHooks,
  plainRecipe,
  planModel,
  prepare,
  quantize,
  schemeNamed,
  verify,
} from "fewbit";
import { nodeHost } from "fewbit/node";

/** Numbers that look random and are the same in every run. */
const numbers = (count, seed) => Float32Array.from({ length: count }, (_, i) => Math.sin(i * i * 12.9898 + seed));

const [input, hidden, output] = [64, 128, 10];
const model = build.onnxModel({
  inputs: [build.valueInfo("x", "float32", ["batch", input])],
  outputs: [build.valueInfo("y", "float32", ["batch", output])],
  nodes: [
    build.node("Gemm", ["x", "w1", "b1"], ["h"], { name: "first" }),
    build.node("Relu", ["h"], ["r"], { name: "relu" }),
    build.node("Gemm", ["r", "w2", "b2"], ["y"], { name: "second" }),
  ],
  tensors: [
    build.floatTensor("w1", [input, hidden], numbers(input * hidden, 1)),
    build.floatTensor("b1", [hidden], numbers(hidden, 2)),
    build.floatTensor("w2", [hidden, output], numbers(hidden * output, 3)),
    build.floatTensor("b2", [output], numbers(output, 4)),
  ],
});
const data = memoryDataset(model, { x: { dtype: "float32", shape: [200, input], data: numbers(200 * input, 5) } });
const host = await nodeHost({ threads: 1 }, noHooks.signal);

// 2. float rewrites that keep what the model computes
const { model: prepared, log } = await prepare(model, {}, { static: true, opset: 13 });
console.log(`prepare: ${log.map(({ pass, change }) => `${pass} (${change})`).join(", ") || "nothing to do"}`);

// 3. what becomes what, as data
const plan = planModel(prepared, plainRecipe(schemeNamed("w8a8")));
for (const { node, op, form, weight } of plan.nodes)
  console.log(`plan: ${node} (${op}) as ${form}${weight ? `, weight ${weight.tensor} to ${weight.scheme.dtype}` : ""}`);

// 4. ranges of the values that need one
const stats = await calibratePlan(host, prepared, plan, data);
for (const [name, { min, max }] of Object.entries(stats.values))
  console.log(`calibrate: ${name} in [${min.toFixed(2)}, ${max.toFixed(2)}]`);

// 5. weights become codes, values get scales
const quantized = await quantize(prepared, plan, stats);
console.log(`quantize: ${quantized.model.graph.nodes.map(({ op }) => op).join(" ")}`);

// 6. both models run on the same samples
const original = await host.stage(model, "original.onnx");
const candidate = await host.stage(quantized.model, "quantized.onnx");
const reference = { name: "original.onnx", place: original.place, size: original.size };
const made = { plan, prepared, model: quantized.model, stats, findings: quantized.findings };
const found = await verify(
  host,
  { reference, candidate, evaluation: { data, metrics: [] }, random: false, made },
  noHooks,
);
console.log(`verify: ${found.size.ratio.toFixed(2)}x smaller, SQNR ${found.outputs[0]?.sqnr?.toFixed(1)} dB`);
console.log(`verify: ${100 * (found.integerShare ?? 0)} % of the heavy ops run in integers`);
for (const { severity, message } of found.findings) console.log(`${severity}: ${message}`);
for (const staged of [original, candidate]) await staged[Symbol.asyncDispose]();
