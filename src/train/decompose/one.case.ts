/** How nodes that are decomposed are written for their checks. */
import { type AttributeInit, node } from "../../ir/build.ts";
import type { Tensor } from "../../ir/model.ts";
import { constant, type Given, type GradCase } from "../gradcheck.case.ts";
import { decompose } from "./index.ts";

export interface Options {
  readonly attributes?: Readonly<Record<string, AttributeInit>>;
  /** Names behind the inputs that are differentiated, "" for one left out. */
  readonly more?: readonly string[];
  readonly tensors?: readonly Tensor[];
  /** Names of further outputs that are compared too. */
  readonly outputs?: readonly string[];
  readonly opset?: number;
  readonly domain?: string;
  readonly label?: string;
  readonly order?: readonly string[];
}

export const fixed = (...shape: readonly number[]): Given => ({ shape, fixed: true });

/** One node of com.microsoft unless told. */
export function one(op: string, inputs: Readonly<Record<string, Given>>, options: Options = {}): GradCase {
  const { attributes = {}, more = [], tensors = [], outputs = [], opset = 21, domain = "com.microsoft" } = options;
  const read = options.order ?? [...Object.keys(inputs), ...more];
  const label = `${Object.values(inputs).map(({ shape }) => `[${shape}]`)} ${options.label ?? Object.keys(attributes)}`;
  return {
    ...{ op: domain === "" ? op : `${domain}.${op}`, label, inputs, prepare: decompose, precision: "float32" },
    ...{ opsets: [opset], tensors: () => tensors },
    nodes: () => [node(op, read, ["y", ...outputs], { domain, attributes })],
  };
}

/** Angles of 6 positions. */
export const caches = (half: number): readonly Tensor[] =>
  [Math.cos, Math.sin].map((wave, index) => {
    const values = Array.from({ length: 6 * half }, (_, at) => wave(Math.floor(at / half) / (1 + (at % half))));
    return constant(index === 0 ? "cos" : "sin", [6, half], values, "float32");
  });
