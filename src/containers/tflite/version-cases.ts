/** The words in which rules of op versions are written: what the types, shapes and options of a node may be asked. */
import type { Dim, Node } from "../../ir/model.ts";
import type { Quantization } from "../../ir/scheme.ts";
import type { DType } from "../../numeric/dtypes.ts";

/** What the version of an op depends on, of each value: a `Tensor` or a `ValueInfo`. */
export interface Typed {
  readonly dtype?: DType;
  readonly shape?: readonly Dim[];
  readonly quantization?: Quantization;
  /** The constant is stored sparse. */
  readonly isSparse?: boolean;
}

/** Types of values by name; undefined for unknown ones. */
export type Types = (name: string) => Typed | undefined;

/** A node with the types of its inputs and outputs. */
export interface Signature {
  readonly node: Node;
  readonly x: (index: number) => Typed | undefined;
  readonly y: (index: number) => Typed | undefined;
}

/** Whether a case fits. */
export type Test = (op: Signature) => boolean;
/** The version for a node. */
export type Rule = (op: Signature) => number;

/** The version of the first case that fits, else 1. */
export const cases =
  (...rows: readonly (readonly [version: number, test: Test])[]): Rule =>
  (op) =>
    rows.find(([, test]) => test(op))?.[0] ?? 1;

/** Input `index` is of one of these types. */
export const x =
  (index: number, ...dtypes: readonly DType[]): Test =>
  (op) =>
    dtypes.some((dtype) => op.x(index)?.dtype === dtype);
/** The first output is of one of these types. */
export const y =
  (...dtypes: readonly DType[]): Test =>
  (op) =>
    dtypes.some((dtype) => op.y(0)?.dtype === dtype);
/** Every one of these holds. */
export const all =
  (...tests: readonly Test[]): Test =>
  (op) =>
    tests.every((test) => test(op));
/** One of these holds. */
export const any =
  (...tests: readonly Test[]): Test =>
  (op) =>
    tests.some((test) => test(op));
/** This does not hold. */
export const not =
  (test: Test): Test =>
  (op) =>
    !test(op);

const text = new TextDecoder();

/** Whether an option is there and is not its zero: false, 0, or the enum's first value. */
export const has =
  (key: string, zero = ""): Test =>
  ({ node }) => {
    const attribute = node.attributes[key];
    if (attribute?.type === "string") return text.decode(attribute.value) !== zero;
    return attribute?.type === "int" && Number(attribute.value) !== 0;
  };

/** Number of dimensions; 0 where it is unknown. */
export const rank = (typed: Typed | undefined): number => typed?.shape?.length ?? 0;
/** An input has more dimensions than that. */
export const rankOver =
  (dims: number, index = 0): Test =>
  (op) =>
    rank(op.x(index)) > dims;
/** Scales of a value; none where it is not quantized. */
export const scales = (typed: Typed | undefined): Float32Array =>
  typed?.quantization?.qparams.scale ?? new Float32Array();
/** An input has more than one scale. */
export const perChannel =
  (index: number): Test =>
  (op) =>
    scales(op.x(index)).length > 1;
/** The first input has a scale. */
export const isQuantized: Test = (op) => scales(op.x(0)).length > 0;
/** The first two inputs differ in shape. */
export const broadcasts: Test = (op) => String(op.x(0)?.shape) !== String(op.x(1)?.shape);
/** They do, and one has more than 4 dimensions. */
export const broadcastsOver4 = all(broadcasts, any(rankOver(4, 0), rankOver(4, 1)));
/** A filter sees fewer channels than the input has. */
export const isGrouped: Test = (op) => {
  const [channels, each] = [op.x(0)?.shape?.[3], op.x(1)?.shape?.[3]];
  return typeof channels === "number" && typeof each === "number" && channels !== each;
};
/** The product of two inputs is multiplied by 1 or more to become the output. */
export const rescalesUp: Test = (op) => {
  const [a = 0, b = 0, c = 0] = [op.x(0), op.x(1), op.y(0)].map((typed) => scales(typed)[0]);
  return a * b !== 0 && c !== 0 && (a * b) / c >= 1;
};

/** Integer kernels, and hybrid ones that multiply floats with integer weights. */
export const integer = (input: DType, weight: DType): Test => all(x(0, input), x(1, weight), y(input));
/** Floats times int8 weights. */
export const hybrid = all(x(0, "float32"), x(1, "int8"), y("float32"));
/** An input is an 8-bit float. */
export const float8 = (index = 0): Test => x(index, "float8e4m3fn", "float8e5m2");
/** A 16x8 op that says what type its bias has. */
export const biasType = all(integer("int16", "int8"), has("quantized_bias_type", "FLOAT32"));
/** An optional input is there. */
export const hasInput =
  (index: number): Test =>
  ({ node }) =>
    (node.inputs[index] ?? "") !== "";

/** An option whose default is 1 and that is something else. */
export function dilates(key: string): Test {
  return ({ node }) => {
    const attribute = node.attributes[key];
    return attribute?.type === "int" && Number(attribute.value) !== 1;
  };
}

/** An option whose default is true and that is false. */
export function isFalse(key: string): Test {
  return ({ node }) => {
    const attribute = node.attributes[key];
    return attribute?.type === "int" && Number(attribute.value) === 0;
  };
}
