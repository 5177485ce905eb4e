/**
 * Takes the QuantizeLinear / DequantizeLinear pairs out of a model that was trained or quantized elsewhere. What is left
 * is the float graph; the grids stay with the values and constants they belonged to, and plans use them.
 */
import { producers, withGraph, withTensors } from "../ir/edit.ts";
import type { Graph, Node, Tensor } from "../ir/model.ts";
import type { GivenGrid } from "../ir/scheme.ts";
import { computedSource } from "../ir/source.ts";
import { axisShape } from "../kernels/axis.ts";
import { bytesOf } from "../numeric/convert.ts";
import { elementCount } from "../numeric/dtypes.ts";
import { roundHalfEven } from "../numeric/rounding.ts";
import { removableActivation } from "./clamps.ts";
import { forward } from "./forward.ts";
import type { Pass } from "./pass.ts";
import { elements, type Pair, pairOf, sameGrid } from "./qdq-pairs.ts";
import { constantsIn, type FindConstant } from "./values.ts";

export const stripQdq: Pass = {
  name: "strip-qdq",
  summary: "take QuantizeLinear / DequantizeLinear pairs out and keep their scales and zero points for the plan",
  async apply(model) {
    const pairs = await pairsOf(model.graph);
    if (pairs.length === 0) return model;
    const decoded = withDecoded(model.graph, pairs);
    const { graph, grids } = withoutPairs(decoded, pairs);
    await followClamps(graph, grids, constantsIn(graph));
    return withGraph(model, { ...graph, grids });
  },
};

/** Pairs of the main graph whose axis is one of the constant's. */
async function pairsOf(graph: Graph): Promise<readonly Pair[]> {
  const made = producers(graph);
  const around = { constant: constantsIn(graph), producer: (name: string) => made.get(name) };
  const found: Pair[] = [];
  for (const node of graph.nodes) {
    const pair = await pairOf(node, around);
    if (pair !== undefined && fits(pair, graph)) found.push(pair);
  }
  return found;
}

function fits({ dq, constant, grid: { axis, qparams } }: Pair, graph: Graph): boolean {
  if (constant === undefined) return true;
  if (graph.outputs.some(({ name }) => name === dq.outputs[0])) return false;
  return axis === undefined || constant.tensor.shape[positive(axis, constant.tensor)] === qparams.scale.length;
}

const positive = (axis: number, { shape }: Tensor): number => (axis < 0 ? axis + shape.length : axis);

/** Constants take the name of what they were decoded to, as float values on their grid. */
function withDecoded(graph: Graph, pairs: readonly Pair[]): Graph {
  const gone = new Set<Node>();
  const tensors = pairs.flatMap(({ dq, constant, grid }): readonly Tensor[] => {
    if (constant === undefined) return [];
    gone.add(dq);
    return [decodedTensor(dq.outputs[0]!, constant, grid)];
  });
  return withTensors({ ...graph, nodes: graph.nodes.filter((node) => !gone.has(node)) }, tensors);
}

/** Codes beyond 16 bits are sums (biases): their float value is all that counts. */
const MAX_GRID_CODE = 65_535;

function decodedTensor(name: string, { tensor, coded }: NonNullable<Pair["constant"]>, grid: GivenGrid): Tensor {
  const { shape } = tensor;
  const count = elementCount(shape);
  const axis = grid.axis === undefined ? undefined : positive(grid.axis, tensor);
  const data = computedSource(4 * count, async () => {
    return bytesOf(onGrid(await elements(tensor), axis === undefined ? [1, count] : shape, axis ?? 0, coded, grid));
  });
  const known = grid.codes[1] <= MAX_GRID_CODE && { grid: { ...grid, ...(axis === undefined ? {} : { axis }) } };
  return { name, dtype: "float32", shape, data, ...known };
}

/** Codes, or floats rounded to codes, as the float32 values they stand for. */
function onGrid(
  values: ArrayLike<number>,
  shape: readonly number[],
  axis: number,
  coded: boolean,
  { qparams: { scale, zeroPoint }, codes: [low, high] }: GivenGrid,
): Float32Array {
  const { channels, inner } = axisShape(shape, axis);
  const single = scale.length === 1;
  const out = new Float32Array(values.length);
  for (let i = 0; i < out.length; i++) {
    const c = single ? 0 : Math.floor(i / inner) % channels;
    const zero = zeroPoint[c]!;
    const code = coded ? values[i]! : roundHalfEven(Math.fround(values[i]! / scale[c]!)) + zero;
    out[i] = (Math.min(Math.max(code, low), high) - zero) * scale[c]!;
  }
  return out;
}

/**
 * Removes the pairs of computed values. Where a value has two different grids (every reader its own, or one pair behind
 * another) the second pair stays, and its output has the second grid.
 */
function withoutPairs(graph: Graph, pairs: readonly Pair[]): { graph: Graph; grids: Map<string, GivenGrid> } {
  const sources = new Map<Node, string>();
  const origins = new Map<string, string>();
  const found = new Map<string, GivenGrid>();
  for (const { dq, source, constant, grid } of pairs) {
    if (constant !== undefined) continue;
    const origin = origins.get(source) ?? source;
    const known = found.get(origin);
    if (known !== undefined && !sameGrid(known, grid)) {
      found.set(dq.outputs[0]!, grid);
      continue;
    }
    found.set(origin, grid);
    sources.set(dq, source);
    origins.set(dq.outputs[0]!, origin);
  }
  const stripped = forward(graph, sources);
  const present = new Set([
    ...stripped.inputs.map(({ name }) => name),
    ...stripped.nodes.flatMap((node) => node.outputs),
  ]);
  const renamed = new Map([...origins].filter(([name]) => present.has(name)).map(([name, origin]) => [origin, name]));
  const name = (value: string): string => (present.has(value) ? value : (renamed.get(value) ?? value));
  return { graph: stripped, grids: new Map([...found].map(([value, grid]) => [name(value), grid])) };
}

/**
 * Codes behind a Relu or Clip are those within its bounds, so that a plan can leave the node out. One that has no grid of
 * its own hands on that of its input: limiting decoded values is limiting their codes.
 */
async function followClamps(graph: Graph, grids: Map<string, GivenGrid>, constant: FindConstant): Promise<void> {
  for (const node of graph.nodes) {
    const [input, output] = [node.inputs[0] ?? "", node.outputs[0] ?? ""];
    const grid = grids.get(output) ?? grids.get(input);
    if (grid === undefined) continue;
    const bounds = await removableActivation(node, constant);
    if (bounds === undefined || bounds.min > 0 || bounds.max < 0) continue;
    const codeOf = (value: number): number =>
      roundHalfEven(Math.fround(value / grid.qparams.scale[0]!)) + grid.qparams.zeroPoint[0]!;
    const [low, high] = grid.codes;
    const limited = [Math.max(low, codeOf(bounds.min)), Math.min(high, codeOf(bounds.max))] as const;
    if (limited[0] <= limited[1]) grids.set(output, { ...grid, codes: limited });
  }
}
