/**
 * Training block by block: every block of a network learns to give what the float model gives at its end, from what the
 * quantized blocks in front of it make (Li et al., BRECQ, arXiv:2102.05426). No gradient crosses from block to block, so all
 * of them learn in one step graph.
 */
import { valueInfo } from "../ir/build.ts";
import { freshNames, producers, reads, withGraph } from "../ir/edit.ts";
import type { Graph, Model, Node } from "../ir/model.ts";
import { fail } from "../numeric/errors.ts";
import { relativeError, targetInputs } from "./features.ts";
import { type Lossy, logitsOf, trainedOutput } from "./losses.ts";
import { stopGradientNode } from "./ops/stop-gradient.ts";
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

/** The scores or values a model is trained for. */
const lastEnd = (model: Model, output: string | undefined): string =>
  logitsOf(model.graph, trainedOutput(model, output).name);

/** Those of `values` that the model makes on the way to what it is trained for. */
function innerEnds(model: Model, values: readonly string[], output?: string): readonly string[] {
  const [last, made] = [lastEnd(model, output), producers(model.graph)];
  return values.filter((name) => made.has(name) && name !== last);
}

/**
 * Inner ends that are worth imitating while the whole network learns: the first one, where there are others, has few weights in
 * front of it, and what they can't reach outweighs the rest.
 */
export function imitatedEnds(model: Model, values: readonly string[], output?: string): readonly string[] {
  const ends = innerEnds(model, values, output);
  if (ends.length === 0)
    fail("usage", "features: no value lies between the first weight and the output; train without features");
  return ends.length > 1 ? ends.slice(1) : ends;
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
  const cuts = innerEnds(model, values, output);
  const ends = [...cuts, lastEnd(model, output)];
  const targets = targetInputs(model.graph, ends, "block");
  const loss = freshNames(model.graph)("loss");
  const graph = cut(model.graph, cuts);
  const writing = startWriting({ ...graph, inputs: [...graph.inputs, ...targets] }, "loss");
  const writer = writerFor(writing, "loss of blocks");
  const parts = ends.map((name, index) => relativeError(writer, name, targets[index]!.name));
  add(writing, "Sum", parts, [loss]);
  const whole = written(writing);
  const outputs = [...graph.outputs, valueInfo(loss, "float32", [])];
  return {
    ...{ model: withGraph(model, { ...whole, outputs }), loss, targets, target: targets.at(-1)! },
    values: ends,
  };
}
