/**
 * How large parameters are, so that one learning rate suits all of them: behind folded batch normalizations channels differ by
 * orders of magnitude, and steps of one length shake the small ones and hardly move the large ones.
 */
import { floatTensor } from "../../ir/build.ts";
import { freshNames, withGraph, withTensors } from "../../ir/edit.ts";
import type { Model, Tensor } from "../../ir/model.ts";
import type { Plan } from "../../ir/plan.ts";
import { readAll } from "../../ir/source.ts";
import { decodeFloats } from "../../numeric/convert.ts";
import { elementCount } from "../../numeric/dtypes.ts";

/** Share of a tensor's size that its smallest channel counts as. */
const SMALLEST = 0.1;

/** Root mean squares of the channels on `axis`, each in all of its entries' place; of the whole where there is no axis. */
function sizes(values: Float32Array, shape: readonly number[], axis: number | undefined): Float32Array {
  const channels = axis === undefined ? 1 : shape[axis]!;
  const inner = axis === undefined ? values.length : elementCount(shape.slice(axis + 1));
  const squares = new Float64Array(channels);
  for (let i = 0; i < values.length; i++) squares[Math.floor(i / inner) % channels]! += values[i]! ** 2;
  const all = Math.sqrt(squares.reduce((sum, square) => sum + square, 0) / values.length) || 1;
  const each = values.length / channels;
  return Float32Array.from(squares, (square) => Math.max(Math.sqrt(square / each), SMALLEST * all));
}

/** A model with initializers that hold the sizes of parameters. */
export interface Sized {
  readonly model: Model;
  /** Parameter -> initializer with its size: one for each channel of a planned weight, one number for others. */
  readonly sizes: ReadonlyMap<string, string>;
}

/** Adds to `model` the root mean squares of `parameters` as `source` has them. */
export async function withSizes(
  model: Model,
  source: Model,
  plan: Plan,
  parameters: readonly string[],
): Promise<Sized> {
  const fresh = freshNames(model.graph);
  const axes = new Map(plan.nodes.flatMap(({ weight }) => (weight ? [[weight.tensor, weight.axis] as const] : [])));
  const found = new Map<string, string>();
  const added: Tensor[] = [];
  for (const name of parameters) {
    const { data, dtype, shape } = source.graph.tensors.get(name)!;
    const axis = axes.get(name);
    const values = sizes(decodeFloats(await readAll(data), dtype), shape, axis);
    const tensor = floatTensor(
      fresh(`${name}/size`),
      axis === undefined ? [] : shape.map((length, at) => (at === axis ? length : 1)),
      values,
    );
    added.push(tensor);
    found.set(name, tensor.name);
  }
  return { model: withGraph(model, withTensors(model.graph, added)), sizes: found };
}
