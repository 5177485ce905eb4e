/**
 * Training block by block: every block of a network learns to give what the float model gives at its end, from what the
 * quantized blocks in front of it make (Li et al., BRECQ, arXiv:2102.05426). No gradient crosses from block to block, so all
 * of them learn in one step graph.
 */
import { valueInfo } from "../ir/build.ts";
import { freshNames, producers, reads, withGraph } from "../ir/edit.ts";
import type { Graph, Model, Node } from "../ir/model.ts";
import { fail } from "../numeric/errors.ts";
import { type Lossy, logitsOf, trainedOutput } from "./losses.ts";
import { stopGradientNode } from "./ops/stop-gradient.ts";
import { knownTypes } from "./types.ts";
import { add, startWriting, writerFor, written } from "./writer.ts";

/** Nodes that compute from the model's inputs, and how many of them read each value they make. */
function dataFlow({ nodes, inputs, tensors }: Graph) {
  const flowing = new Set(inputs.map(({ name }) => name).filter((name) => !tensors.has(name)));
  const uses = new Map<string, number>();
  const within = nodes.filter((node) => {
    const read = new Set(reads(node).filter((name) => flowing.has(name)));
    for (const name of read) uses.set(name, (uses.get(name) ?? 0) + 1);
    if (read.size === 0) return false;
    for (const name of node.outputs) flowing.add(name);
    return true;
  });
  return { within, uses, flowing };
}

/**
 * Values all data passes through, in order: everything behind one is computed from it alone. A residual connection keeps
 * what it spans together. Only those with a matrix or a kernel in front of them, behind the one before.
 */
export function blockOutputs(graph: Graph): readonly string[] {
  const { within, uses, flowing } = dataFlow(graph);
  const open = new Map(graph.inputs.filter(({ name }) => uses.has(name)).map(({ name }) => [name, uses.get(name)!]));
  const found: string[] = [];
  let weights = false;
  for (const node of within) {
    weights ||= node.inputs.some((name) => (graph.tensors.get(name)?.shape.length ?? 0) > 1);
    for (const name of new Set(reads(node).filter((read) => flowing.has(read)))) {
      const left = open.get(name)! - 1;
      if (left > 0) open.set(name, left);
      else open.delete(name);
    }
    for (const name of node.outputs) if (uses.has(name)) open.set(name, uses.get(name)!);
    const [only] = open.keys();
    if (only === undefined || open.size !== 1 || !weights || only !== node.outputs[0]) continue;
    found.push(only);
    weights = false;
  }
  return found;
}

/** Readers of the values get them without a way back. */
function cut(graph: Graph, values: readonly string[]): Graph {
  const fresh = freshNames(graph);
  const stopped = new Map(values.map((name) => [name, fresh(`${name}/stopped`)]));
  const read = (node: Node): Node => ({ ...node, inputs: node.inputs.map((name) => stopped.get(name) ?? name) });
  const nodes = graph.nodes.flatMap((node) => [
    read(node),
    ...node.outputs.flatMap((name) => (stopped.has(name) ? [stopGradientNode(name, stopped.get(name)!)] : [])),
  ]);
  return { ...graph, nodes };
}

/** Where blocks end: the given values that the graph makes, and the scores or values it is trained for. */
function endsOf(model: Model, values: readonly string[], output: string | undefined) {
  const last = logitsOf(model.graph, trainedOutput(model, output).name);
  const made = producers(model.graph);
  return { last, cuts: values.filter((name) => made.has(name) && name !== last) };
}

/** A model whose blocks have a loss each; `values` says what each target of `targets` is compared with. */
export interface Blocks extends Lossy {
  readonly values: readonly string[];
}

/**
 * The model with the scalar output `loss`: the mean squared error of every block's output, over the mean square of what it
 * should be, summed over the blocks. Inputs "block/VALUE" take the float model's values.
 */
export function withBlockLoss(model: Model, values: readonly string[], output?: string): Blocks {
  const { cuts, last } = endsOf(model, values, output);
  const ends = [...cuts, last];
  const types = knownTypes(model.graph);
  const fresh = freshNames(model.graph);
  const loss = fresh("loss");
  const targets = ends.map((name) => {
    const { dtype = "float32", dims } = types.get(name) ?? {};
    if (dtype !== "float32") fail("unsupported", `loss: block output "${name}" is ${dtype}, expected float32`);
    return valueInfo(fresh(`block/${name}`), "float32", dims);
  });
  const graph = cut(model.graph, cuts);
  const writing = startWriting({ ...graph, inputs: [...graph.inputs, ...targets] }, "loss");
  const { emit, scalar } = writerFor(writing, "loss of blocks");
  const meanSquare = (value: string) => emit("ReduceMean", [emit("Mul", [value, value])], { keepdims: 0 });
  const parts = ends.map((name, index) => {
    const target = targets[index]!.name;
    const size = emit("Add", [meanSquare(target), scalar(1e-12, "float32")]);
    return emit("Div", [meanSquare(emit("Sub", [name, target])), size]);
  });
  add(writing, "Sum", parts, [loss]);
  const whole = written(writing);
  const outputs = [...graph.outputs, valueInfo(loss, "float32", [])];
  return {
    ...{ model: withGraph(model, { ...whole, outputs }), loss, targets, target: targets.at(-1)! },
    values: ends,
  };
}
