/**
 * The version of an op that its types ask for: TFLite's runtimes refuse kernels they are too old for by it. Facts:
 * GetBuiltinOperatorVersion in op_version.cc of LiteRT, August 2026; ops without a row have version 1 only.
 */
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

interface Signature {
  readonly node: Node;
  readonly x: (index: number) => Typed | undefined;
  readonly y: (index: number) => Typed | undefined;
}

type Test = (op: Signature) => boolean;
type Rule = (op: Signature) => number;

/** The version of the first case that fits, else 1. */
const cases =
  (...rows: readonly (readonly [version: number, test: Test])[]): Rule =>
  (op) =>
    rows.find(([, test]) => test(op))?.[0] ?? 1;

const x =
  (index: number, ...dtypes: readonly DType[]): Test =>
  (op) =>
    dtypes.some((dtype) => op.x(index)?.dtype === dtype);
const y =
  (...dtypes: readonly DType[]): Test =>
  (op) =>
    dtypes.some((dtype) => op.y(0)?.dtype === dtype);
const all =
  (...tests: readonly Test[]): Test =>
  (op) =>
    tests.every((test) => test(op));
const any =
  (...tests: readonly Test[]): Test =>
  (op) =>
    tests.some((test) => test(op));
const not =
  (test: Test): Test =>
  (op) =>
    !test(op);

const text = new TextDecoder();

/** Whether an option is there and is not its zero: false, 0, or the enum's first value. */
const has =
  (key: string, zero = ""): Test =>
  ({ node }) => {
    const attribute = node.attributes[key];
    if (attribute?.type === "string") return text.decode(attribute.value) !== zero;
    return attribute?.type === "int" && Number(attribute.value) !== 0;
  };

const rank = (typed: Typed | undefined): number => typed?.shape?.length ?? 0;
const rankOver =
  (dims: number, index = 0): Test =>
  (op) =>
    rank(op.x(index)) > dims;
const scales = (typed: Typed | undefined): Float32Array => typed?.quantization?.qparams.scale ?? new Float32Array();
const perChannel =
  (index: number): Test =>
  (op) =>
    scales(op.x(index)).length > 1;
const isQuantized: Test = (op) => scales(op.x(0)).length > 0;
const broadcasts: Test = (op) => String(op.x(0)?.shape) !== String(op.x(1)?.shape);
const broadcastsOver4 = all(broadcasts, any(rankOver(4, 0), rankOver(4, 1)));
const isGrouped: Test = (op) => {
  const [channels, each] = [op.x(0)?.shape?.[3], op.x(1)?.shape?.[3]];
  return typeof channels === "number" && typeof each === "number" && channels !== each;
};
const rescalesUp: Test = (op) => {
  const [a = 0, b = 0, c = 0] = [op.x(0), op.x(1), op.y(0)].map((typed) => scales(typed)[0]);
  return a * b !== 0 && c !== 0 && (a * b) / c >= 1;
};

/** Integer kernels, and hybrid ones that multiply floats with integer weights. */
const integer = (input: DType, weight: DType): Test => all(x(0, input), x(1, weight), y(input));
const hybrid = all(x(0, "float32"), x(1, "int8"), y("float32"));
const float8 = (index = 0): Test => x(index, "float8e4m3fn", "float8e5m2");
const biasType = all(integer("int16", "int8"), has("quantized_bias_type", "FLOAT32"));
const hasInput =
  (index: number): Test =>
  ({ node }) =>
    (node.inputs[index] ?? "") !== "";

const int8 = cases([2, x(0, "int8")]);
const int16Int8 = cases([3, x(0, "int16")], [2, x(0, "int8")]);
const int8OrInt16 = cases([2, x(0, "int8", "int16")]);
const pad = cases([6, float8()], [5, x(0, "bool")], [4, rankOver(4)], [3, x(0, "int16")], [2, x(0, "int8")]);
const extreme = cases([4, x(0, "int16")], [3, broadcastsOver4], [2, x(0, "int8")]);
const argument = cases([3, x(0, "bool")], [2, x(0, "int8")]);
const blocks = cases([4, x(0, "int16")], [3, (op) => rank(op.x(0)) !== 4], [2, x(0, "int8")]);
const recurrent = cases(
  [3, all(x(1, "int8"), y("float32"), has("asymmetric_quantize_inputs"))],
  [2, all(x(1, "int8"), y("float32"))],
);
const gateHybrid = all(x(0, "float32"), x(2, "int8"), y("float32"));
const gateInt16 = all(x(0, "int16"), x(2, "int8"), y("int16"));

const RULES: Readonly<Record<string, Rule>> = {
  CONV_2D: cases(
    [8, biasType],
    [6, isGrouped],
    [4, integer("int16", "int16")],
    [3, integer("int8", "int8")],
    [7, integer("int8", "int4")],
    [5, all(hybrid, perChannel(1))],
    [2, hybrid],
  ),
  DEPTHWISE_CONV_2D: cases(
    [5, integer("int16", "int16")],
    [6, all(hybrid, perChannel(1))],
    [4, hybrid],
    [3, integer("int8", "int8")],
    [7, integer("int8", "int4")],
    [2, any(dilates("dilation_w_factor"), dilates("dilation_h_factor"))],
  ),
  FULLY_CONNECTED: cases(
    [14, x(1, "int2")],
    [13, integer("int16", "int4")],
    [12, all(hybrid, perChannel(1))],
    [11, biasType],
    [8, (op) => op.x(1)?.isSparse === true],
    [7, integer("int16", "int16")],
    [6, ({ node }) => node.inputs.length === 2],
    [5, has("keep_num_dims")],
    [4, integer("int8", "int8")],
    [10, integer("int8", "int4")],
    [9, all(hybrid, has("asymmetric_quantize_inputs"))],
    [3, hybrid],
    [2, has("weights_format", "DEFAULT")],
  ),
  TRANSPOSE_CONV: cases(
    [5, all(x(0, "int16"), x(1, "int8"), y("int16"), has("quantized_bias_type", "FLOAT32"))],
    [4, has("fused_activation_function", "NONE")],
    [3, hasInput(3)],
    [2, x(1, "int8")],
  ),
  EMBEDDING_LOOKUP: cases([4, any(x(1, "int4"), perChannel(1))], [5, x(1, "int2")]),
  ADD: cases(
    [6, x(0, "float16")],
    [5, all(x(0, "int16"), not(isQuantized))],
    [4, x(0, "int64")],
    [3, all(x(0, "int16"), y("int16"), isFalse("pot_scale_int16"))],
    [2, x(0, "int8")],
  ),
  SUB: cases(
    [5, all(x(0, "int16"), y("int16"), isFalse("pot_scale_int16"))],
    [4, x(0, "int64")],
    [3, broadcastsOver4],
    [2, x(0, "int8")],
  ),
  MUL: cases(
    [8, x(0, "float16")],
    [7, any(all(x(0, "int16"), not(isQuantized)), x(0, "uint32"))],
    [6, x(0, "complex64")],
    [5, x(0, "int64")],
    [4, x(0, "int16")],
    [3, rescalesUp],
    [2, x(0, "int8")],
  ),
  DIV: cases([2, broadcastsOver4]),
  MAX_POOL_2D: int16Int8,
  AVERAGE_POOL_2D: int16Int8,
  SOFTMAX: cases([4, x(0, "float16")], [3, x(0, "int16")], [2, x(0, "int8")]),
  LOGISTIC: int16Int8,
  TANH: int16Int8,
  MEAN: int16Int8,
  MIRROR_PAD: int16Int8,
  REDUCE_MAX: int16Int8,
  REDUCE_MIN: int16Int8,
  RELU6: int16Int8,
  RSQRT: int16Int8,
  RELU: cases([3, x(0, "int16")], [2, x(0, "int8", "uint8")]),
  LEAKY_RELU: cases([2, x(0, "int16")]),
  GELU: cases([3, x(0, "float16")], [2, x(0, "int8", "uint8")]),
  CONCATENATION: cases(
    [7, float8()],
    [6, x(0, "float16")],
    [5, x(0, "int4")],
    [4, x(0, "uint32")],
    [3, x(0, "int16")],
    [2, x(0, "int8")],
  ),
  PACK: cases([5, float8()], [2, x(0, "int8")], [3, x(0, "int16")], [4, x(0, "uint32")]),
  UNPACK: cases(
    [6, float8()],
    [2, x(0, "int8", "uint8")],
    [3, x(0, "bool")],
    [4, x(0, "int16")],
    [5, x(0, "float16", "bfloat16")],
  ),
  PAD: pad,
  PADV2: pad,
  QUANTIZE: cases(
    [5, any(x(0, "uint4"), y("uint4"))],
    [4, any(x(0, "int4"), y("int4"))],
    [3, (op) => scales(op.y(0)).length > 1],
    [2, y("int16")],
  ),
  DEQUANTIZE: cases(
    [9, float8()],
    [8, x(0, "uint4")],
    [7, x(0, "int2")],
    [6, x(0, "int4")],
    [3, x(0, "int16", "float16")],
    [5, all(x(0, "int8"), perChannel(0))],
    [2, x(0, "int8")],
  ),
  BATCH_MATMUL: cases([3, x(0, "int16")], [2, x(0, "int8")], [4, all(hybrid, has("asymmetric_quantize_inputs"))]),
  GATHER: cases(
    [8, float8()],
    [7, x(0, "int4")],
    [6, x(1, "int16")],
    [5, has("batch_dims")],
    [4, x(0, "int16")],
    [3, x(0, "bool")],
    [2, x(0, "int8")],
  ),
  SPLIT: cases([5, float8(1)], [4, x(1, "int16")], [3, x(1, "int32")], [2, x(1, "int8")]),
  SPLIT_V: cases([3, float8()], [2, x(0, "int8")]),
  SLICE: cases(
    [8, x(0, "float16")],
    [7, x(0, "int4")],
    [6, x(0, "uint32")],
    [5, rankOver(4)],
    [4, x(0, "int16")],
    [3, x(0, "string")],
    [2, x(0, "int8")],
  ),
  STRIDED_SLICE: cases(
    [8, has("offset")],
    [7, x(0, "uint32")],
    [6, any(has("ellipsis_mask"), has("new_axis_mask"))],
    [5, x(0, "string")],
    [4, rankOver(4)],
    [3, x(0, "bool")],
    [2, x(0, "int8")],
  ),
  TRANSPOSE: cases(
    [9, x(0, "float16")],
    [8, any(rankOver(6), x(0, "bfloat16"))],
    [7, x(0, "int4")],
    [6, rankOver(5)],
    [5, x(0, "int16")],
    [4, rankOver(4)],
    [3, x(0, "bool")],
    [2, x(0, "int8")],
  ),
  RESIZE_BILINEAR: cases([4, x(0, "int16")], [3, has("half_pixel_centers")], [2, x(0, "int8")]),
  RESIZE_NEAREST_NEIGHBOR: cases(
    [4, x(0, "int16")],
    [3, any(has("half_pixel_centers"), has("align_corners"))],
    [2, x(0, "int8")],
  ),
  MAXIMUM: extreme,
  MINIMUM: extreme,
  ARG_MAX: argument,
  ARG_MIN: argument,
  SPACE_TO_BATCH_ND: blocks,
  BATCH_TO_SPACE_ND: blocks,
  SPACE_TO_DEPTH: int8,
  DEPTH_TO_SPACE: int8,
  SUM: int8,
  LOG_SOFTMAX: int8,
  SQUARED_DIFFERENCE: int8,
  GREATER: int8,
  LESS_EQUAL: int8,
  L2_NORMALIZATION: cases([2, y("int8")]),
  LESS: int16Int8,
  GREATER_EQUAL: int16Int8,
  EQUAL: cases([5, x(0, "int16")], [3, x(0, "string")], [2, x(0, "int8")]),
  NOT_EQUAL: cases([4, x(0, "int16")], [3, x(0, "string")], [2, x(0, "int8")]),
  SELECT_V2: cases([2, x(0, "uint32")]),
  TOPK_V2: cases([3, x(0, "int16")], [2, x(0, "int8")]),
  TILE: cases([3, x(0, "int8")], [2, x(0, "string")]),
  SQUEEZE: cases([2, x(0, "string")]),
  REVERSE_V2: cases([4, float8()], [3, x(0, "int8")], [2, x(0, "bool")]),
  EXP: int8OrInt16,
  LOG: int8OrInt16,
  SQRT: int8OrInt16,
  REDUCE_PROD: int8OrInt16,
  SIN: cases([2, x(0, "float16")]),
  COS: cases([2, x(0, "float16")]),
  ABS: cases([5, x(0, "int32")], [3, all(x(0, "int16"), isQuantized)], [4, x(0, "int16")], [2, x(0, "int8", "uint8")]),
  SIGN: cases([2, x(0, "int32")]),
  RANGE: cases([2, x(0, "int64")]),
  WHERE: cases([2, not(x(0, "bool"))]),
  FLOOR_DIV: cases([3, x(0, "int16", "int8")], [2, x(0, "float32")]),
  FLOOR_MOD: cases([2, x(0, "int16", "int8")]),
  FAKE_QUANT: cases([2, has("narrow_range")]),
  BROADCAST_TO: cases([4, float8()], [3, x(0, "int8", "int16")], [2, () => true]),
  GATHER_ND: cases([6, float8()], [5, x(0, "bool")], [4, x(1, "int16")], [3, x(0, "int16")], [2, x(0, "string")]),
  FILL: cases([5, float8(1)], [4, x(1, "float16")], [3, x(1, "int8", "int16")], [2, x(1, "bool", "string")]),
  CAST: cases(
    [9, any(float8(), y("float8e4m3fn", "float8e5m2"))],
    [8, any(x(0, "int2", "uint4"), y("int2", "uint4"))],
    [7, any(x(0, "bfloat16"), y("bfloat16"))],
    [6, all(x(0, "int4"), y("float32"))],
    [5, any(x(0, "float64", "float16"), y("float64", "float16"))],
    [4, any(x(0, "uint16"), y("uint16"))],
    [3, any(x(0, "int8"), y("int8"))],
    [2, any(x(0, "uint32"), y("uint32"))],
  ),
  DYNAMIC_UPDATE_SLICE: cases(
    [6, x(0, "bfloat16")],
    [5, x(0, "int4")],
    [4, x(0, "int16")],
    [3, x(0, "float16")],
    [2, x(2, "int64")],
  ),
  SVDF: cases([3, x(0, "int8")], [4, all(hybrid, has("asymmetric_quantize_inputs"))], [2, hybrid]),
  RNN: recurrent,
  UNIDIRECTIONAL_SEQUENCE_RNN: recurrent,
  BIDIRECTIONAL_SEQUENCE_RNN: recurrent,
  BIDIRECTIONAL_SEQUENCE_LSTM: recurrent,
  LSTM: cases(
    [5, all(not(has("kernel_type", "FULL")), gateInt16)],
    [4, all(not(has("kernel_type", "FULL")), gateHybrid, has("asymmetric_quantize_inputs"))],
    [3, all(not(has("kernel_type", "FULL")), gateHybrid)],
    [2, has("kernel_type", "FULL")],
  ),
  UNIDIRECTIONAL_SEQUENCE_LSTM: cases(
    [5, gateInt16],
    [4, has("diagonal_recurrent_tensors")],
    [3, all(gateHybrid, has("asymmetric_quantize_inputs"))],
    [2, gateHybrid],
  ),
};

/** An option whose default is 1 and that is something else. */
function dilates(key: string): Test {
  return ({ node }) => {
    const attribute = node.attributes[key];
    return attribute?.type === "int" && Number(attribute.value) !== 1;
  };
}

/** An option whose default is true and that is false. */
function isFalse(key: string): Test {
  return ({ node }) => {
    const attribute = node.attributes[key];
    return attribute?.type === "int" && Number(attribute.value) === 0;
  };
}

/** The version that a node's types and options ask for; 1 for custom ops. */
export function opVersion(node: Node, types: Types): number {
  if (node.domain !== "" || !Object.hasOwn(RULES, node.op)) return 1;
  const at = (names: readonly string[]) => (index: number) => types(names[index] ?? "");
  return RULES[node.op]!({ node, x: at(node.inputs), y: at(node.outputs) });
}
