/**
 * TFLite: what quantization-aware training leaves in a float graph (FAKE_QUANT, or a QUANTIZE with its DEQUANTIZE) is taken
 * out; the grids stay with the values and constants they belonged to, and plans use them.
 */
import { floatAttribute, intAttribute } from "../ir/attributes.ts";
import { consumers, producers, withGraph } from "../ir/edit.ts";
import type { Graph, Node, ValueInfo } from "../ir/model.ts";
import type { GivenGrid } from "../ir/scheme.ts";
import { DTYPES } from "../numeric/dtypes.ts";
import { roundHalfEven } from "../numeric/rounding.ts";
import { forward } from "./forward.ts";
import type { Pass } from "./pass.ts";

export const stripFakeQuant: Pass = {
  name: "strip-fake-quant",
  summary: "take FAKE_QUANT and QUANTIZE / DEQUANTIZE pairs out and keep their scales and zero points for the plan",
  apply(model) {
    const { graph } = model;
    const found = fakes(graph);
    if (found.size === 0) return model;
    const sources = new Map([...found].map(([node, { source }]) => [node, source]));
    const next = forward(graph, sources);
    return withGraph(model, withGrids(next, [...found.values()]));
  },
};

/** A value that was rounded to a grid. */
interface Fake {
  readonly source: string;
  /** The rounded value: its name stands for the source where the graph gives it out. */
  readonly output: string;
  readonly grid: GivenGrid;
}

function fakes(graph: Graph): ReadonlyMap<Node, Fake> {
  const [made, read] = [producers(graph), consumers(graph)];
  const found = new Map<Node, Fake>();
  for (const node of graph.nodes) {
    const [input = "", output = ""] = [node.inputs[0], node.outputs[0]];
    if (node.op === "FAKE_QUANT") found.set(node, { source: input, output, grid: fakeQuantGrid(node) });
    const q = node.op === "DEQUANTIZE" ? made.get(input) : undefined;
    if (q?.op !== "QUANTIZE" || read.get(input)?.length !== 1) continue;
    const grid = codedGrid(graph.values.get(input));
    if (grid !== undefined) found.set(node, { source: q.inputs[0]!, output, grid });
  }
  return found;
}

/** Grid over [min, max] whose zero is a code (TensorFlow FakeQuantWithMinMaxArgs, which nudges the ends). */
function fakeQuantGrid(node: Node): GivenGrid {
  const [min, max] = [floatAttribute(node, "min", 0), floatAttribute(node, "max", 0)];
  const high = 2 ** intAttribute(node, "num_bits", 0) - 1;
  const low = intAttribute(node, "narrow_range", 0) === 0 ? 0 : 1;
  const scale = Math.fround((max - min) / (high - low));
  const zero = Math.min(Math.max(roundHalfEven(low - min / scale), low), high);
  return { qparams: { scale: Float32Array.of(scale), zeroPoint: Int32Array.of(zero) }, codes: [low, high] };
}

function codedGrid(info: ValueInfo | undefined): GivenGrid | undefined {
  if (info?.dtype === undefined || info.quantization === undefined || info.quantization.axis !== undefined)
    return undefined;
  const { min, max, bits } = DTYPES[info.dtype];
  return bits > 8 ? undefined : { qparams: info.quantization.qparams, codes: [min, max] };
}

function withGrids(graph: Graph, found: readonly Fake[]): Graph {
  const grids = new Map(graph.grids);
  const tensors = new Map(graph.tensors);
  const outputs = new Set(graph.outputs.map(({ name }) => name));
  for (const { source, output, grid } of found) {
    const constant = tensors.get(source);
    if (constant !== undefined) tensors.set(source, { ...constant, grid });
    else grids.set(outputs.has(output) ? output : source, grid);
  }
  return { ...graph, tensors, grids };
}
