/**
 * What quantization knows of TFLite's builtin ops: the LiteRT 8-bit quantization specification
 * (ai.google.dev/edge/litert/models/quantization_spec) and, for 16x8, the kernels of the runtime. Layouts are NHWC.
 */
import type { DType } from "../numeric/dtypes.ts";
import type { Affine } from "../numeric/qparams.ts";
import type { Dialect, OpRow, Slots, Static, WeightInput } from "./dialect.ts";
import type { Node } from "./model.ts";

const COMPUTE: Static = { as: "compute", floatOutput: false };
const ELEMENTWISE: Static = { as: "elementwise" };
const SAME_SCALE: Static = { as: "same-scale" };
const COMMON_SCALE: Static = { as: "common-scale" };
const FLOAT: Static = { as: "float" };

/** Kernels for int16 activations too (16x8), or for int8 alone. */
const BOTH: readonly DType[] = ["int8", "int16"];
const INT8: readonly DType[] = ["int8"];

/** What XNNPACK's blockwise kernels are made for; smaller blocks run in a plain kernel, many times slower. */
const BLOCKS = [32, 64, 128, 256];

const weight = (input: number, axis: number, reduction: number, bias: number, by = 0): WeightInput => ({
  input,
  bias,
  by,
  axis: () => axis,
  reduction: () => reduction,
});

const products = (of: WeightInput, hybrid: readonly DType[]): OpRow => ({
  weights: [of],
  data: [of.by!],
  outputs: [0],
  static: () => COMPUTE,
  codes: BOTH,
  hybrid,
});
const row = (kind: Static, codes: readonly DType[], data: Slots = [0], outputs: Slots = [0]): OpRow => ({
  weights: [],
  data,
  outputs,
  static: () => kind,
  codes,
});
const elementwise = (codes: readonly DType[], data: Slots = [0]): OpRow => row(ELEMENTWISE, codes, data);
const sameScale = (codes: readonly DType[], data: Slots = [0], outputs: Slots = [0]): OpRow =>
  row(SAME_SCALE, codes, data, outputs);
const commonScale = (codes: readonly DType[], data: Slots = "all"): OpRow => row(COMMON_SCALE, codes, data);
const inFloat = (data: Slots = [0]): OpRow => row(FLOAT, INT8, data);
/** Reads codes and gives something else: indices, truth values. */
const asks = (data: Slots = [0]): OpRow => row(ELEMENTWISE, INT8, data, []);

type Fixed = Readonly<Partial<Record<DType, Affine>>>;
const fixed = (grids: Fixed): OpRow => ({
  ...elementwise(Object.keys(grids) as DType[]),
  fixed: grids,
});

const grid = (scale: number, zeroPoint: number): Affine => ({ scale, zeroPoint });
/** [0, 1) in all codes of the type. */
const UNIT: Fixed = { int8: grid(1 / 256, -128), int16: grid(1 / 32768, 0) };
/** [-1, 1). */
const SIGNED: Fixed = { int8: grid(1 / 128, 0), int16: grid(1 / 32768, 0) };

const OPS = {
  CONV_2D: products(weight(1, 0, 3, 2), INT8),
  DEPTHWISE_CONV_2D: products(weight(1, 3, 1, 2), INT8),
  FULLY_CONNECTED: { ...products(weight(1, 0, 1, 2), ["int8", "int4"]), blocks: BLOCKS },
  TRANSPOSE_CONV: products(weight(1, 0, 3, 3, 2), INT8),

  BATCH_MATMUL: elementwise(BOTH, [0, 1]),
  ADD: elementwise(BOTH, [0, 1]),
  SUB: elementwise(BOTH, [0, 1]),
  MUL: elementwise(BOTH, [0, 1]),
  SQUARED_DIFFERENCE: elementwise(INT8, [0, 1]),
  MEAN: elementwise(BOTH),
  SUM: elementwise(BOTH),
  RELU: elementwise(BOTH),
  RELU6: elementwise(INT8),
  RELU_N1_TO_1: elementwise(INT8),
  RELU_0_TO_1: elementwise(INT8),
  LEAKY_RELU: elementwise(BOTH),
  PRELU: elementwise(INT8, [0, 1]),
  HARD_SWISH: elementwise(INT8),
  ELU: elementwise(INT8),
  GELU: elementwise(INT8),
  ABS: elementwise(BOTH),
  RSQRT: elementwise(INT8),
  EXP: elementwise(BOTH),

  LOGISTIC: fixed(UNIT),
  SOFTMAX: fixed(UNIT),
  TANH: fixed(SIGNED),
  L2_NORMALIZATION: fixed({ int8: grid(1 / 128, 0) }),
  LOG_SOFTMAX: fixed({ int8: grid(16 / 256, 127) }),

  AVERAGE_POOL_2D: sameScale(BOTH),
  MAX_POOL_2D: sameScale(BOTH),
  RESHAPE: sameScale(BOTH),
  SQUEEZE: sameScale(BOTH),
  EXPAND_DIMS: sameScale(BOTH),
  TRANSPOSE: sameScale(BOTH),
  SLICE: sameScale(BOTH),
  STRIDED_SLICE: sameScale(BOTH),
  SPLIT: sameScale(BOTH, [1], "all"),
  SPLIT_V: sameScale(BOTH, [0], "all"),
  UNPACK: sameScale(BOTH, [0], "all"),
  PAD: sameScale(BOTH),
  MIRROR_PAD: sameScale(INT8),
  GATHER: sameScale(BOTH),
  GATHER_ND: sameScale(BOTH),
  TILE: sameScale(INT8),
  BROADCAST_TO: sameScale(INT8),
  REVERSE_V2: sameScale(INT8),
  SPACE_TO_DEPTH: sameScale(INT8),
  DEPTH_TO_SPACE: sameScale(INT8),
  SPACE_TO_BATCH_ND: sameScale(BOTH),
  BATCH_TO_SPACE_ND: sameScale(BOTH),
  RESIZE_BILINEAR: sameScale(BOTH),
  RESIZE_NEAREST_NEIGHBOR: sameScale(BOTH),
  REDUCE_MAX: sameScale(BOTH),
  REDUCE_MIN: sameScale(BOTH),
  TOPK_V2: sameScale(INT8),

  CONCATENATION: commonScale(BOTH),
  PACK: commonScale(BOTH),
  PADV2: commonScale(INT8, [0, 2]),
  MAXIMUM: commonScale(BOTH, [0, 1]),
  MINIMUM: commonScale(BOTH, [0, 1]),
  SELECT: commonScale(INT8, [1, 2]),
  SELECT_V2: commonScale(INT8, [1, 2]),

  ARG_MAX: asks(),
  ARG_MIN: asks(),

  CONV_3D: inFloat(),
  DIV: inFloat([0, 1]),
  POW: inFloat([0, 1]),
  FLOOR_DIV: inFloat([0, 1]),
  FLOOR_MOD: inFloat([0, 1]),
  ADD_N: inFloat("all"),
  SQUARE: inFloat(),
  SQRT: inFloat(),
  LOG: inFloat(),
  SIN: inFloat(),
  COS: inFloat(),
  NEG: inFloat(),
  SIGN: inFloat(),
  FLOOR: inFloat(),
  CEIL: inFloat(),
  ROUND: inFloat(),
  CUMSUM: inFloat(),
  REDUCE_PROD: inFloat(),
  LOCAL_RESPONSE_NORMALIZATION: inFloat(),
  EMBEDDING_LOOKUP: { ...inFloat([]), hybrid: INT8, weights: [{ input: 1, axis: () => 0, reduction: () => 1 }] },
  DEQUANTIZE: inFloat([]),
  QUANTIZE: inFloat(),
  CAST: inFloat(),
} as const satisfies Record<string, OpRow>;

const isKnown = ({ domain, op }: Pick<Node, "op" | "domain">): boolean => domain === "" && Object.hasOwn(OPS, op);

/** The op table of TFLite: builtin ops by the names of its schema. */
export const TFLITE: Dialect = {
  staticForm: "integer",
  integers: "whole",
  row: (node) => (isKnown(node) ? OPS[node.op as keyof typeof OPS] : undefined),
  deterministic: isKnown,
};
