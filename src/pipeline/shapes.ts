/** Types of inner values: declared where complete, otherwise seen in one run of the engine. */
import { withTaps } from "../engines/taps.ts";
import type { Model, NDArray, ValueInfo } from "../ir/model.ts";
import type { ValueType } from "../passes/index.ts";

/** Runs a model on one sample and returns its outputs. */
export type RunOnce = (model: Model) => Promise<Readonly<Record<string, NDArray>>>;

const complete = ({ dtype, shape }: ValueInfo): ValueType | undefined =>
  dtype !== undefined && shape?.every((dim) => typeof dim === "number")
    ? { dtype, shape: shape as readonly number[] }
    : undefined;

/** Types that the model itself states in full, constants included. */
function declaredTypes({ graph }: Model): ReadonlyMap<string, ValueType> {
  const found = new Map<string, ValueType>();
  for (const { name, dtype, shape } of graph.tensors.values()) found.set(name, { dtype, shape });
  for (const info of [...graph.values.values(), ...graph.outputs, ...graph.inputs]) {
    const type = complete(info);
    if (type !== undefined) found.set(info.name, type);
  }
  return found;
}

/**
 * Types of all values the model states, and of those of `names` that it does not state, from one run with taps. Inputs
 * and values that the engine can't hand out (sequences, strings) are left as they are.
 */
export async function valueTypes(
  model: Model,
  names: readonly string[],
  run: RunOnce,
): Promise<ReadonlyMap<string, ValueType>> {
  const known = declaredTypes(model);
  const fed = new Set(model.graph.inputs.map(({ name }) => name));
  const open = [...new Set(names)].filter((name) => !known.has(name) && !fed.has(name));
  if (open.length === 0) return known;
  const found = await run(withTaps(model, open));
  const seen = open.flatMap((name) => (found[name] ? [[name, typeOf(found[name])] as const] : []));
  return new Map([...known, ...seen]);
}

const typeOf = ({ dtype, shape }: NDArray): ValueType => ({ dtype, shape });
