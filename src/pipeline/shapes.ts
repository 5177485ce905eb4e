/** Types of inner values: declared where complete, otherwise seen in one run of the engine. */
import type { Feeds, Model, NDArray, ValueInfo } from "../ir/model.ts";
import type { ValueType } from "../passes/index.ts";

/** Runs the model on one sample and returns the values asked for, inner ones too. */
export type Probe = (feeds: Feeds, fetches: readonly string[]) => Promise<Readonly<Record<string, NDArray>>>;

/** Values fetched in one run: bounds the memory of large activations. */
const VALUES_PER_RUN = 32;

const complete = ({ dtype, shape }: ValueInfo): ValueType | undefined =>
  dtype !== undefined && shape?.every((dim) => typeof dim === "number")
    ? { dtype, shape: shape as readonly number[] }
    : undefined;

/** Types that the model itself states in full, constants included. */
export function declaredTypes({ graph }: Model): ReadonlyMap<string, ValueType> {
  const found = new Map<string, ValueType>();
  for (const { name, dtype, shape } of graph.tensors.values()) found.set(name, { dtype, shape });
  for (const info of [...graph.values.values(), ...graph.outputs, ...graph.inputs]) {
    const type = complete(info);
    if (type !== undefined) found.set(info.name, type);
  }
  return found;
}

/**
 * Type of every value of the main graph, for the sizes of `feeds`. Values that the engine can't hand out (sequences,
 * strings) are absent. An engine that can't run the model at all makes this fail with its own error.
 */
export async function valueTypes(model: Model, feeds: Feeds, probe: Probe): Promise<ReadonlyMap<string, ValueType>> {
  const found = new Map(declaredTypes(model));
  for (const [name, { dtype, shape }] of Object.entries(feeds)) found.set(name, { dtype, shape });
  const open = model.graph.nodes.flatMap((node) => node.outputs).filter((name) => name !== "" && !found.has(name));
  const known = found.size;
  for (let at = 0; at < open.length; at += VALUES_PER_RUN) {
    const error = await probeTypes(open.slice(at, at + VALUES_PER_RUN), feeds, probe, found);
    if (found.size === known) throw error;
  }
  return found;
}

/** One value that can't be fetched must not hide the others: halves are tried apart. Gives back the last error. */
async function probeTypes(
  names: readonly string[],
  feeds: Feeds,
  probe: Probe,
  found: Map<string, ValueType>,
): Promise<unknown> {
  try {
    for (const [name, { dtype, shape }] of Object.entries(await probe(feeds, names))) found.set(name, { dtype, shape });
    return undefined;
  } catch (error) {
    if (names.length === 1) return error;
    const half = names.length >> 1;
    const first = await probeTypes(names.slice(0, half), feeds, probe, found);
    return (await probeTypes(names.slice(half), feeds, probe, found)) ?? first;
  }
}
