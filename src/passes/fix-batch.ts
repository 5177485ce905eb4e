/** Engines that fix their shapes when they open a file need a number of rows. */
import { withGraph } from "../ir/edit.ts";
import type { Dim, Model, ValueInfo } from "../ir/model.ts";
import { fail } from "../numeric/errors.ts";

type Shaped = Pick<ValueInfo, "name" | "shape">;

const isOpen = (length: Dim): boolean => typeof length !== "number";

/** Whether a value of the main graph has an open dimension. */
export const hasOpenShapes = ({ graph }: Model): boolean =>
  [...graph.inputs, ...graph.outputs, ...graph.values.values()].some(({ shape }) => shape?.some(isOpen));

function assertOnlyRowsOpen({ name, shape = [] }: Shaped): void {
  const axis = shape.findIndex((length, at) => at > 0 && isOpen(length));
  if (axis > 0)
    fail(
      "unsupported",
      `input "${name}": dimension ${axis} of [${shape.map((d) => d ?? "?").join(", ")}] is open, and only a batch can be chosen here; export the model with that dimension fixed`,
    );
}

/** Inner values that depend on more than the batch get a 1, which engines compute anew. */
const fixed = <T extends Shaped>(value: T, rows: number): T =>
  value.shape?.some(isOpen)
    ? { ...value, shape: value.shape.map((length, axis) => (isOpen(length) ? (axis === 0 ? rows : 1) : length)) }
    : value;

/** `model` for a batch of `rows` where its number of rows is open; the same model when all shapes are fixed. */
export function fixBatch(model: Model, rows: number): Model {
  if (!hasOpenShapes(model)) return model;
  const { graph } = model;
  graph.inputs.forEach(assertOnlyRowsOpen);
  return withGraph(model, {
    ...graph,
    inputs: graph.inputs.map((value) => fixed(value, rows)),
    outputs: graph.outputs.map((value) => fixed(value, rows)),
    values: new Map([...graph.values].map(([name, value]) => [name, fixed(value, rows)])),
  });
}
