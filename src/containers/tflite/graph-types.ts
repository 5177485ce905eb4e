/** What is known of the values of a graph by name. */
import type { Graph, Tensor, ValueInfo } from "../../ir/model.ts";

/** A constant, or a value of any other kind. */
export type Typed = Tensor | ValueInfo;

/** Everything with a declared type, by name: constants before the declared types of values. */
export function typedValues({ inputs, outputs, values, tensors }: Graph): ReadonlyMap<string, Typed> {
  const infos: readonly ValueInfo[] = [...values.values(), ...outputs, ...inputs];
  return new Map<string, Typed>([...infos.map((info) => [info.name, info] as const), ...tensors]);
}
