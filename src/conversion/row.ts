/** The contract of the table: how one TFLite op is said in ONNX. */
import { intAttribute, stringAttribute } from "../ir/attributes.ts";
import { nodeLabel } from "../ir/edit.ts";
import type { Node } from "../ir/model.ts";
import type { DType } from "../numeric/dtypes.ts";
import { fail } from "../numeric/errors.ts";
import type { BatchRule, Dims } from "./batch-state.ts";
import type { Emit } from "./writer.ts";

/** What a row may ask about one TFLite node, and how it writes ONNX. */
export interface Site {
  readonly node: Node;
  /** Name of an input; a missing one is an error of code "graph". */
  input(index: number): string;
  /** Name of an optional input; undefined when it is omitted. */
  optional(index: number): string | undefined;
  dims(name: string): Dims;
  dtype(name: string): DType;
  /** Elements of a small integer constant; undefined for anything computed. */
  ints(name: string): readonly number[] | undefined;
  /** True where axis 0 of a value counts samples, so that its length is not fixed. */
  batched(name: string): boolean;
  /** Adds a node to the ONNX graph; answers the name of its output. */
  readonly emit: Emit;
  /** As `emit`, for a node of several outputs. */
  emitAll(op: string, inputs: readonly string[], count: number, attributes?: Parameters<Emit>[2]): readonly string[];
  /** An int64 vector. */
  list(values: readonly number[]): string;
  scalar(value: number, dtype?: DType): string;
  /** A value with its axes in another order: a constant is stored that way, anything else gets a Transpose. */
  turned(name: string, perm: readonly number[]): string;
  /** An integer value as int64, which ONNX wants for shapes and positions. */
  int64(name: string): string;
}

/** One TFLite op. `convert` answers the names of the values that stand for the node's outputs, in their order. */
export interface ConversionRow {
  readonly convert: (site: Site) => string | readonly string[];
  /** Where the samples are in the result; see `BatchState`. */
  readonly batch: BatchRule;
  /** Runtimes do not apply an activation behind this op, although the file has a field for it. */
  readonly noActivation?: true;
}

/** Refuses a node by name and op; `text` says what was found and what to do. */
export const refuse = (node: Node, text: string): never =>
  fail("unsupported", `node "${nodeLabel(node)}" (${node.op}): ${text}`);

/** A boolean option. */
export const flag = (node: Node, name: string): boolean => intAttribute(node, name, 0) !== 0;

/** An option that must be 1 or more: strides, windows, blocks. */
export function positive(node: Node, name: string): number {
  const value = intAttribute(node, name, 0);
  return value >= 1 ? value : refuse(node, `${name} is ${value}, expected 1 or more; the file is damaged`);
}

/** An enum option by its name in the schema. */
export const choice = (node: Node, name: string, otherwise: string): string => stringAttribute(node, name, otherwise);

/** The elements of an integer input that ONNX wants to know when the graph is built. */
export const constantInts = (site: Site, index: number, what: string): readonly number[] =>
  site.ints(site.input(index)) ?? refuse(site.node, `its ${what} is computed; only a constant one can be converted`);

/** An axis counted from the front; outside the rank it is an error. */
export function axisOf(node: Node, axis: number, rank: number): number {
  const at = axis < 0 ? axis + rank : axis;
  return at >= 0 && at < rank ? at : refuse(node, `axis ${axis} is outside of rank ${rank}; the file is damaged`);
}

/** A length that has to be known. */
export const known = (node: Node, length: number | null | undefined, what: string): number =>
  typeof length === "number" ? length : refuse(node, `its ${what} is open; fix the input shapes first`);

/** The rank of an input has to be what the op says. */
export function ofRank(site: Site, name: string, rank: number): Dims {
  const dims = site.dims(name);
  return dims.length === rank
    ? dims
    : refuse(site.node, `"${name}" has ${dims.length} axes, expected ${rank}; the file is damaged`);
}
