/** The constants of a converted graph: each under its own name, in the order of axes its readers want. */
import { node as makeNode } from "../ir/build.ts";
import type { Graph, Node, Tensor } from "../ir/model.ts";
import type { TurnedConstant } from "../passes/cancel-transposes.ts";
import { composed, inverse, type Origin, transposed } from "./origins.ts";

/** A constant in another order, by the name that stands for it until the graph is complete. */
export type Turned = ReadonlyMap<string, TurnedConstant>;

/** Nodes that read constants by their names, and those constants. */
export interface Settled {
  readonly nodes: readonly Node[];
  readonly tensors: readonly Tensor[];
  readonly perms: ReadonlyMap<string, readonly number[]>;
}

const straight = ({ shape }: Tensor): readonly number[] => shape.map((_, axis) => axis);

/**
 * Gives every constant that is read its name and order. One that is read in several orders is stored in the first of them,
 * or as it was; the others are Transposes of it, so that it stays one constant when it is trained.
 */
export function settle(source: Graph, nodes: readonly Node[], turned: Turned): Settled {
  const names = new Map<string, string>();
  const perms = new Map<string, readonly number[]>();
  const extra: Node[] = [];
  const read = new Set(nodes.flatMap(({ inputs }) => inputs));
  for (const name of source.tensors.keys()) if (read.has(name)) perms.set(name, straight(source.tensors.get(name)!));
  for (const [alias, { constant, perm }] of turned) {
    if (!read.has(alias)) continue;
    const stored = perms.get(constant);
    if (stored === undefined) perms.set(constant, perm);
    else if (stored.some((axis, i) => axis !== perm[i])) {
      const between = composed(inverse(stored), perm);
      extra.push(makeNode("Transpose", [constant], [alias], { name: alias, attributes: { perm: between } }));
      continue;
    }
    names.set(alias, constant);
  }
  const renamed = nodes.map((node) => renamedInputs(node, names));
  const tensors = [...perms].map(([name, perm]) => transposed(source.tensors.get(name)!, perm));
  return { nodes: [...extra, ...renamed], tensors, perms };
}

function renamedInputs(node: Node, names: ReadonlyMap<string, string>): Node {
  if (!node.inputs.some((name) => names.has(name))) return node;
  return { ...node, inputs: node.inputs.map((name) => names.get(name) ?? name) };
}

/** Origins of the constants in the finished graph; `original` has them as the file does. */
export function originsOf(
  original: Graph,
  perms: ReadonlyMap<string, readonly number[]>,
  later: Turned,
  finished: Graph,
): ReadonlyMap<string, Origin> {
  const origins = new Map<string, Origin>();
  for (const name of finished.tensors.keys()) {
    const turn = later.get(name);
    const tensor = original.tensors.get(turn?.constant ?? name);
    const perm = tensor && perms.get(tensor.name);
    if (tensor === undefined || perm === undefined) continue;
    const { shape, dtype } = tensor;
    origins.set(name, { tensor: tensor.name, perm: turn ? composed(perm, turn.perm) : perm, shape, dtype });
  }
  return origins;
}
