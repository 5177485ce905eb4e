/** Looking inside a model: inner values become outputs. */

import { withGraph } from "../ir/edit.ts";
import type { ContainerName, Graph, Model, Tensor, ValueInfo } from "../ir/model.ts";
import { fail } from "../numeric/errors.ts";

function values(graph: Graph): ReadonlySet<string> {
  return new Set([
    ...graph.inputs.map((input) => input.name),
    ...graph.tensors.keys(),
    ...graph.nodes.flatMap((node) => node.outputs.filter((name) => name !== "")),
  ]);
}

const typeOf = ({ name, dtype, shape, quantization }: Tensor): ValueInfo => ({
  ...{ name, dtype, shape },
  ...(quantization && { quantization }),
});

function declared({ inputs, values, tensors }: Graph, name: string): ValueInfo {
  const constant = tensors.get(name);
  return values.get(name) ?? inputs.find((input) => input.name === name) ?? (constant ? typeOf(constant) : { name });
}

/** Containers whose outputs have to say their type; others leave it to the engine, since declared ones may be wrong. */
const TYPED: ReadonlySet<ContainerName> = new Set(["tflite"]);

/**
 * `model` with values of its main graph added to the outputs; the same model when all of them are outputs already.
 * Types are left to the engine to infer where the container allows it. Fusions change where a value is tapped, so bits may differ from an untapped run.
 */
export function withTaps(model: Model, names: readonly string[]): Model {
  const present = new Set(model.graph.outputs.map((output) => output.name));
  const added = [...new Set(names)].filter((name) => !present.has(name));
  if (added.length === 0) return model;
  const known = values(model.graph);
  for (const name of added)
    if (!known.has(name)) fail("graph", `value "${name}" can't be tapped: the main graph has no value of that name`);
  return withGraph(model, {
    ...model.graph,
    outputs: [
      ...model.graph.outputs,
      ...added.map((name) => (TYPED.has(model.container) ? declared(model.graph, name) : { name })),
    ],
  });
}
