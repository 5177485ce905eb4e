/** Loop and Scan (ONNX operators of these names) as the nodes of all their iterations, where their number is known. */
import { intAttribute, intsAttribute, subgraphs } from "../../ir/attributes.ts";
import { tensor } from "../../ir/build.ts";
import type { Graph, Node } from "../../ir/model.ts";
import { constantOf } from "../../passes/constant-nodes.ts";
import { fromFront } from "../shapes/lengths.ts";
import { knownTensor } from "../types.ts";
import type { Writer, Writing } from "../writer.ts";
import { copyNodes, copyTensors, type Names } from "./copy.ts";

/** How iterations are written. */
export interface Unrolling {
  readonly writing: Writing;
  readonly writer: Writer;
  /** Writes nodes behind each other, unrolling those that can be. */
  readonly visit: (nodes: readonly Node[]) => void;
  /** Takes so many nodes out of what may be unrolled; false where that is not left. */
  readonly afford: (count: number) => boolean;
}

/** Constants of the body once, for all iterations. */
function shared({ writing }: Unrolling, body: Graph): Names {
  const names = new Map([...body.tensors.keys()].map((name) => [name, writing.fresh(name)]));
  for (const made of copyTensors(body.tensors.values(), names)) {
    writing.constants.set(made.name, made);
    writing.types.set(made.name, knownTensor(made));
  }
  return names;
}

/** Runs the body once more; gives the values of its outputs. */
function iterate(by: Unrolling, body: Graph, constants: Names, inputs: readonly string[]): readonly string[] {
  const names = new Map(constants);
  for (const [index, { name }] of body.inputs.entries()) names.set(name, inputs[index] ?? "");
  const copy = copyNodes(body.nodes, names, by.writing.fresh);
  by.visit(copy.nodes);
  return body.outputs.map(({ name }) => copy.names.get(name) ?? name);
}

/** Whether the condition that a body gives is always true: a constant, or the one it was given. */
function staysTrue(body: Graph): boolean {
  let name = body.outputs[0]?.name ?? "";
  for (const node of body.nodes.toReversed()) {
    if (!node.outputs.includes(name)) continue;
    if (node.op !== "Identity" && node.op !== "Cast") return isTrue(constantOf(node)?.data.bytes);
    name = node.inputs[0] ?? "";
  }
  return name === body.inputs[1]?.name || isTrue(body.tensors.get(name)?.data.bytes);
}

const isTrue = (bytes: Uint8Array | undefined): boolean => bytes !== undefined && bytes[0] !== 0;

/** How often a Loop runs; undefined where that is known only at run time. */
function tripCount(node: Node, body: Graph, { writer, writing }: Unrolling): number | undefined {
  const [count = "", condition = ""] = node.inputs;
  const constant = writing.constants.get(condition) ?? writing.graph.tensors.get(condition);
  const known = condition === "" || isTrue(constant?.data.bytes);
  return known && staysTrue(body) ? writer.values(count)?.[0] : undefined;
}

/** A constant condition for bodies that read theirs. */
function trueValue({ writing }: Unrolling): string {
  const key = "always";
  const found = writing.constants.get(key) ?? tensor(writing.fresh(key), "bool", [], Uint8Array.of(1));
  writing.constants.set(key, found);
  writing.types.set(found.name, knownTensor(found));
  return found.name;
}

/** Slices of all iterations behind each other along a new axis. */
function stacked({ emit, ints }: Writer, values: readonly string[], axis: number): string {
  const slices = values.map((value) => emit("Unsqueeze", [value, ints([axis])]));
  return slices.length === 1 ? slices[0]! : emit("Concat", slices, { axis });
}

/** Values of the outputs of a Loop; undefined where it can't be unrolled. */
export function unrollLoop(node: Node, by: Unrolling): readonly string[] | undefined {
  const body = subgraphs(node)[0]?.graph;
  const count = body && tripCount(node, body, by);
  if (body === undefined || count === undefined || count < 1 || !by.afford((body.nodes.length + 1) * count))
    return undefined;
  const constants = shared(by, body);
  let state: readonly string[] = node.inputs.slice(2);
  const scans: string[][] = body.outputs.slice(1 + state.length).map(() => []);
  for (let index = 0; index < count; index++) {
    const outputs = iterate(by, body, constants, [by.writer.ints(index), trueValue(by), ...state]).slice(1);
    for (const [at, list] of scans.entries()) list.push(outputs[state.length + at]!);
    state = outputs.slice(0, state.length);
  }
  return [...state, ...scans.map((list) => stacked(by.writer, list, 0))];
}

/** One slice of a value for each place along an axis, without that axis. */
export function slicesOf(
  { emit, emitMany, ints }: Writer,
  value: string,
  count: number,
  axis: number,
): readonly string[] {
  const parts = count === 1 ? [value] : emitMany("Split", [value, ints(Array(count).fill(1))], count, { axis });
  return parts.map((part) => emit("Squeeze", [part, ints([axis])]));
}

/** An entry of a list attribute of Scan; 0 by default. */
const entry = (node: Node, name: string, index: number): number => intsAttribute(node, name)?.[index] ?? 0;

/** Values of the outputs of a Scan of operator set 9 and later; undefined where it can't be unrolled. */
export function unrollScan(node: Node, by: Unrolling): readonly string[] | undefined {
  const body = subgraphs(node)[0]?.graph;
  const { writer } = by;
  const inputs = node.inputs.slice(node.inputs.length - intAttribute(node, "num_scan_inputs", 0));
  const axes = inputs.map((name, index) =>
    fromFront(entry(node, "scan_input_axes", index), writer.dims(name)?.length ?? 0),
  );
  const count = inputs[0] === undefined ? undefined : writer.dims(inputs[0])?.[axes[0]!];
  if (body === undefined || typeof count !== "number" || count < 1 || !by.afford((body.nodes.length + 1) * count))
    return undefined;
  const backward = (name: string, index: number) => entry(node, name, index) !== 0;
  const slices = inputs.map((name, index) => {
    const parts = slicesOf(writer, name, count, axes[index]!);
    return backward("scan_input_directions", index) ? parts.toReversed() : parts;
  });
  const constants = shared(by, body);
  let state: readonly string[] = node.inputs.slice(0, node.inputs.length - inputs.length);
  const scans: string[][] = body.outputs.slice(state.length).map(() => []);
  for (let index = 0; index < count; index++) {
    const outputs = iterate(by, body, constants, [...state, ...slices.map((parts) => parts[index]!)]);
    for (const [at, list] of scans.entries()) list.push(outputs[state.length + at]!);
    state = outputs.slice(0, state.length);
  }
  const joined = scans.map((list, at) => {
    const ordered = backward("scan_output_directions", at) ? list.toReversed() : list;
    return stacked(writer, ordered, entry(node, "scan_output_axes", at));
  });
  return [...state, ...joined];
}
