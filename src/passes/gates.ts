/**
 * Hard gates of a graph, as ops of their own or written out: factor * clip(x + shift, 0, high), alone or times x. Keras and
 * PyTorch without HardSwish write x * relu6(x + 3) / 6 (MobileNetV3, arXiv:1905.02244), with the sixth anywhere in it.
 */
import { floatAttribute } from "../ir/attributes.ts";
import { consumers, producers } from "../ir/edit.ts";
import type { Graph, Node } from "../ir/model.ts";
import { readAll } from "../ir/source.ts";
import { decodeFloats } from "../numeric/convert.ts";
import { elementCount } from "../numeric/dtypes.ts";
import { removableActivation } from "./clamps.ts";
import { constantsIn, type FindConstant, useCounts } from "./values.ts";

export interface Gate {
  readonly source: string;
  readonly output: string;
  readonly shift: number;
  readonly high: number;
  readonly factor: number;
  /** The gate multiplies what it reads. */
  readonly times: boolean;
  /** Nodes it takes, the last makes the output. */
  readonly nodes: readonly Node[];
}

interface View {
  readonly constant: FindConstant;
  readonly maker: (name: string) => Node | undefined;
  /** The only reader of a value on no grid of its own. */
  readonly reader: (name: string) => Node | undefined;
}

/** HardSwish(x) = x HardSigmoid(x) with these (ONNX operator HardSwish-14); HardSigmoid's own defaults are others. */
const SWISH = { alpha: 1 / 6, beta: 0.5 };

/** All gates of the main graph but those that are Add and Clip already, with nothing to take out. */
export async function gatesIn(graph: Graph): Promise<readonly Gate[]> {
  const [makers, readers, uses] = [producers(graph), consumers(graph), useCounts(graph)];
  const view: View = {
    constant: constantsIn(graph),
    maker: (name) => makers.get(name),
    reader: (name) => (uses.get(name) === 1 && !graph.grids?.has(name) ? readers.get(name)?.[0] : undefined),
  };
  const found: Gate[] = [];
  for (const node of graph.nodes) {
    const begun = node.domain === "" ? (opGate(node) ?? (await writtenGate(view, node))) : undefined;
    const gate = begun && (await widened(view, begun));
    if (gate !== undefined && (node.op !== "Clip" || gate.factor !== 1)) found.push(gate);
  }
  return found;
}

/** HardSigmoid is alpha * clip(x + beta / alpha, 0, 1 / alpha). */
function opGate(node: Node): Gate | undefined {
  const times = node.op === "HardSwish";
  if (!times && node.op !== "HardSigmoid") return undefined;
  const alpha = times ? SWISH.alpha : floatAttribute(node, "alpha", 0.2);
  const beta = times ? SWISH.beta : floatAttribute(node, "beta", 0.5);
  if (alpha <= 0) return undefined;
  const [source, output] = [node.inputs[0]!, node.outputs[0]!];
  return { source, output, shift: beta / alpha, high: 1 / alpha, factor: alpha, times, nodes: [node] };
}

/** A Clip from 0 on, of what is shifted for it alone. */
async function writtenGate({ constant, maker, reader }: View, clip: Node): Promise<Gate | undefined> {
  const add = clip.op === "Clip" ? maker(clip.inputs[0] ?? "") : undefined;
  if (add?.op !== "Add" || add.domain !== "" || reader(add.outputs[0]!) !== clip) return undefined;
  const bounds = await removableActivation(clip, constant);
  if (bounds?.min !== 0 || !(bounds.max > 0 && Number.isFinite(bounds.max))) return undefined;
  for (const [at, source] of add.inputs.entries()) {
    const shift = await numberOf(constant, add.inputs[1 - at] ?? "");
    if (shift === undefined) continue;
    return { source, output: clip.outputs[0]!, shift, high: bounds.max, factor: 1, times: false, nodes: [add, clip] };
  }
  return undefined;
}

/** A constant of one finite number, which changes no rank. */
async function numberOf(constant: FindConstant, name: string): Promise<number | undefined> {
  const tensor = constant(name);
  if (tensor?.dtype !== "float32" || tensor.shape.length > 1 || elementCount(tensor.shape) !== 1) return undefined;
  const [number = Number.NaN] = decodeFloats(await readAll(tensor.data), tensor.dtype);
  return Number.isFinite(number) ? number : undefined;
}

/** The gate with the products behind it that are its own: with what it reads, and with numbers. */
async function widened(view: View, gate: Gate): Promise<Gate> {
  const { source, output, times, nodes } = gate;
  const next = view.reader(output);
  if (next === undefined || next.domain !== "") return gate;
  const more = { output: next.outputs[0]!, nodes: [...nodes, next] };
  if (!times && next.op === "Mul" && next.inputs.includes(source))
    return widened(view, { ...gate, ...more, times: true });
  const number = await factorOf(view, next, output);
  return number !== undefined && number > 0 ? widened(view, { ...gate, ...more, factor: gate.factor * number }) : gate;
}

/** What a node multiplies a value with, where that is a number. */
async function factorOf({ constant }: View, { op, inputs }: Node, value: string): Promise<number | undefined> {
  const [a = "", b = ""] = inputs;
  if (op === "Mul") return numberOf(constant, a === value ? b : a);
  const divisor = op === "Div" && a === value ? await numberOf(constant, b) : undefined;
  return divisor === undefined || divisor === 0 ? undefined : 1 / divisor;
}
