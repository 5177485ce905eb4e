/** Kernels of TFLite's builtin ops, equal to LiteRT's where they compute with codes. */
import { hardSwish, leakyRelu, relu0, relu0To1, relu6, reluN1To1 } from "./activations.ts";
import { add, maximum, minimum, mul, prelu, sub } from "./arithmetic.ts";
import type { Kernel } from "./call.ts";
import { conv2d, depthwiseConv2d, transposeConv } from "./conv.ts";
import { fullyConnected } from "./fully-connected.ts";
import { l2Normalization } from "./l2-normalization.ts";
import { concatenation, gather, pad, reshape, transpose } from "./movement.ts";
import { averagePool2d, maxPool2d, mean } from "./pools.ts";
import { dequantize, quantize } from "./quantize.ts";
import { resizeBilinear, resizeNearestNeighbor } from "./resize.ts";
import { logistic, tanh } from "./sigmoid.ts";
import { slice, split, splitV, stridedSlice } from "./slices.ts";
import { logSoftmax, softmax } from "./softmax.ts";

/** Kernels by the name of the op in TFLite's schema. */
export const TFLITE_KERNELS = {
  ADD: add,
  AVERAGE_POOL_2D: averagePool2d,
  CONCATENATION: concatenation,
  CONV_2D: conv2d,
  DEPTHWISE_CONV_2D: depthwiseConv2d,
  DEQUANTIZE: dequantize,
  EXPAND_DIMS: reshape,
  FULLY_CONNECTED: fullyConnected,
  GATHER: gather,
  HARD_SWISH: hardSwish,
  L2_NORMALIZATION: l2Normalization,
  LEAKY_RELU: leakyRelu,
  LOGISTIC: logistic,
  LOG_SOFTMAX: logSoftmax,
  MAXIMUM: maximum,
  MAX_POOL_2D: maxPool2d,
  MEAN: mean,
  MINIMUM: minimum,
  MUL: mul,
  PAD: pad,
  PADV2: pad,
  PRELU: prelu,
  QUANTIZE: quantize,
  RELU: relu0,
  RELU6: relu6,
  RELU_0_TO_1: relu0To1,
  RELU_N1_TO_1: reluN1To1,
  RESHAPE: reshape,
  RESIZE_BILINEAR: resizeBilinear,
  RESIZE_NEAREST_NEIGHBOR: resizeNearestNeighbor,
  SLICE: slice,
  SOFTMAX: softmax,
  SPLIT: split,
  SPLIT_V: splitV,
  SQUEEZE: reshape,
  STRIDED_SLICE: stridedSlice,
  SUB: sub,
  TANH: tanh,
  TRANSPOSE: transpose,
  TRANSPOSE_CONV: transposeConv,
} as const satisfies Readonly<Record<string, Kernel>>;

export type { Call, Kernel, Operand, Options } from "./call.ts";
export { type FixedPoint, fixedPoint, roundedFloat, roundedOnce, roundedTwice, roundedWide } from "./fixed-point.ts";
