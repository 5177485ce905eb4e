/** A node in integers: codes in, codes out, weights and bias as codes (LiteRT 8-bit quantization specification). */
import { slotNames, weightAt } from "../../ir/dialect.ts";
import { nodeLabel } from "../../ir/edit.ts";
import type { Node, Tensor } from "../../ir/model.ts";
import type { NodePlan } from "../../ir/plan.ts";
import { fail } from "../../numeric/errors.ts";
import { closeOutput, isOpen } from "./ports.ts";
import { convert, declareCodes, type Grid, type State } from "./state.ts";
import { weightCodes } from "./stored.ts";
import { codedBias, codedConstant } from "./weights.ts";

const isSame = (a: Grid, b: Grid): boolean => a.dtype === b.dtype && a.scale === b.scale && a.zeroPoint === b.zeroPoint;

/** The codes of a value on its own grid; floats and constants are put on it first. */
async function codesOf(state: State, name: string): Promise<string> {
  const known = state.codes.get(name);
  if (known !== undefined) return known;
  const grid = state.grids.get(name) ?? fail("graph", `plan: value "${name}" is read as codes but has no grid`);
  const constant = state.graph.tensors.get(name);
  const codes = state.fresh(`${name}/${grid.dtype}`);
  if (constant !== undefined) state.tensors.set(codes, await codedConstant(constant, grid, grid.dtype, codes));
  else {
    declareCodes(state, codes, name, grid);
    convert(state, "QUANTIZE", state.floats.get(name) ?? name, codes);
  }
  state.codes.set(name, codes);
  return codes;
}

/** The codes of a value on a given grid: of an op whose inputs must have the scale of its output. */
async function codesOn(state: State, name: string, wanted: Grid | undefined): Promise<string> {
  const codes = await codesOf(state, name);
  if (wanted === undefined || isSame(state.grids.get(name)!, wanted)) return codes;
  const moved = state.fresh(`${name}/rescaled`);
  declareCodes(state, moved, name, wanted);
  convert(state, "QUANTIZE", codes, moved);
  return moved;
}

/** The grid all data inputs must have. */
function commonGrid(state: State, node: Node): Grid | undefined {
  const row = state.dialect.row(node)!;
  const { as } = row.static(node);
  if (as !== "same-scale" && as !== "common-scale") return undefined;
  return state.grids.get(slotNames(row.outputs, node.outputs)[0] ?? "");
}

async function lowerProducts(state: State, node: Node, entry: NodePlan, inputs: string[]): Promise<void> {
  const weight = entry.weight!;
  const row = weightAt(state.dialect, node, weight.input)!;
  const data = node.inputs[row.by ?? 0]!;
  const grid = state.grids.get(data)!;
  const biasName = row.bias === undefined ? "" : (node.inputs[row.bias] ?? "");
  const bias = state.graph.tensors.get(biasName);
  const site = { bias: grid.dtype === "int8" ? bias : undefined, dataScale: grid.scale };
  const coded = await weightCodes(state, entry, site);
  inputs[weight.input] = coded.name;
  if (bias !== undefined) inputs[row.bias!] = (await biasCodes(state, bias, grid, coded)).name;
}

/** A bias gets a name of its own where others read it too: its codes depend on the weight. */
async function biasCodes(state: State, bias: Tensor, grid: Grid, { quantization }: Tensor): Promise<Tensor> {
  const readers = state.graph.nodes.filter(({ inputs }) => inputs.includes(bias.name)).length;
  const name = readers === 1 ? bias.name : state.fresh(`${bias.name}/codes`);
  const coded = await codedBias(bias, grid, grid.dtype, quantization!.qparams.scale, name);
  state.tensors.set(name, coded);
  return coded;
}

/** Names of what the node makes: codes under the value's own name, but where callers see something else. */
function outputOf(state: State, name: string): string {
  const grid = state.grids.get(name);
  if (grid === undefined) return name;
  const isPort = state.graph.outputs.some((port) => port.name === name) && !isOpen(state, name);
  const codes = isPort ? state.fresh(`${name}/${grid.dtype}`) : name;
  declareCodes(state, codes, name, grid);
  state.codes.set(name, codes);
  return codes;
}

/** Adds a node that computes in integers, and what its inputs need. */
export async function integerNode(state: State, node: Node, entry: NodePlan): Promise<void> {
  const row = state.dialect.row(node) ?? fail("graph", `"${nodeLabel(node)}": no row for ${node.op} in the op table`);
  const inputs = [...node.inputs];
  const common = commonGrid(state, node);
  const read = entry.weight === undefined ? row.data : [weightAt(state.dialect, node, entry.weight.input)!.by ?? 0];
  const slots = read === "all" ? inputs.keys() : read;
  for (const slot of slots) if (inputs[slot]) inputs[slot] = await codesOn(state, inputs[slot], common);
  if (entry.weight !== undefined) await lowerProducts(state, node, entry, inputs);
  const outputs = node.outputs.map((name) => outputOf(state, name));
  state.nodes.push({ ...node, inputs, outputs });
  for (const port of state.graph.outputs) if (node.outputs.includes(port.name)) closeOutput(state, port);
}
