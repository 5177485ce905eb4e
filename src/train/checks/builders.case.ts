/** Short ways to write the cases of gradient checks. */
import { type AttributeInit, intTensor, node } from "../../ir/build.ts";
import type { Tensor } from "../../ir/model.ts";
import type { Given, GradCase, Values } from "../gradcheck.case.ts";

/** Attributes of a node under check. */
export type Attributes = Readonly<Record<string, AttributeInit>>;
/** What `single` takes beside the inputs; `more` are names of constants. */
export type Options = Partial<Omit<GradCase, "op" | "inputs">> & {
  readonly attributes?: Attributes;
  readonly more?: readonly string[];
};

/** One node that reads the given inputs in order, then `more` constants. */
export function single(op: string, inputs: Readonly<Record<string, Given>>, options: Options = {}): GradCase {
  const { attributes = {}, more = [], ...rest } = options;
  const shapes = Object.values(inputs).map(({ shape }) => `[${shape}]`);
  const label = [
    ...shapes,
    ...Object.entries(attributes).map(
      ([key, value]) => `${key}=${typeof value === "object" && "value" in value ? value.value : value}`,
    ),
  ];
  const nodes = () => [node(op, [...Object.keys(inputs), ...more], ["y"], { attributes })];
  return { op, label: label.join(" "), inputs, nodes, ...rest };
}

/** An input of this shape. */
export const of = (shape: readonly number[], values: Values = "normal"): Given => ({ shape, values });
/** An input whose lengths are always declared. */
export const fixed = (...shape: readonly number[]): Given => ({ shape, fixed: true });

/** A constant list of integers: axes, a shape. */
export const list = (name: string, values: readonly number[]) => (): readonly Tensor[] => [intTensor(name, values)];
