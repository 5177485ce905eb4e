/** Layers with weights. */
import { tensor } from "../ir/build.ts";
import type { Tensor } from "../ir/model.ts";
import { DTYPES, type DType, elementCount } from "../numeric/dtypes.ts";
import { packCodes } from "../numeric/packing.ts";
import { rng } from "../numeric/rng.ts";
import {
  type Attributes,
  coded,
  grid,
  ints,
  type LayerCase,
  layer,
  NONE,
  scalesOf,
  ZERO,
} from "./tflite-layers-build.case.ts";

interface Weights {
  readonly shape: readonly number[];
  readonly scale: number | readonly number[];
  readonly axis?: number;
  readonly dtype?: DType;
  readonly zero?: number;
}

/** Symmetric weights: the most negative code is left out. */
export function weights({ shape, scale, axis = 0, dtype = "int8", zero = 0 }: Weights): Tensor {
  const count = elementCount(shape);
  const { uniform } = rng(count + 5);
  const { min, max } = DTYPES[dtype];
  const codes = Array.from({ length: count }, () => min + 1 + Math.floor(uniform() * (max - min)));
  const data =
    DTYPES[dtype].bits < 8 ? packCodes(codes, 4) : dtype === "uint8" ? Uint8Array.from(codes) : Int8Array.from(codes);
  return { ...tensor("w", dtype, shape, data), quantization: grid(scale, zero, axis) };
}

/** Biases that move sums by a share of what the products reach. */
export function biases(
  count: number,
  inScale: number,
  scale: number | readonly number[],
  dtype: DType,
  reach: number,
): Tensor {
  const { uniform } = rng(count + 11);
  const values = Array.from({ length: count }, () => Math.floor((uniform() - 0.5) * reach));
  const data = dtype === "int64" ? BigInt64Array.from(values, BigInt) : Int32Array.from(values);
  const scales = (typeof scale === "number" ? [scale] : scale).map((s) => s * inScale);
  return { ...tensor("b", dtype, [count], data), quantization: grid(scales) };
}

export const convOptions = (padding: string, stride = 1, dilation = 1): Attributes => ({
  padding,
  stride_w: stride,
  stride_h: stride,
  dilation_w_factor: dilation,
  dilation_h_factor: dilation,
  ...NONE,
});

interface ConvInit {
  readonly input: readonly number[];
  readonly output: readonly number[];
  readonly filter: Weights;
  readonly attributes: Attributes;
  readonly activations?: DType;
  readonly bias?: DType | "none";
  readonly outScale?: number;
}

const IN_SCALE: Readonly<Partial<Record<DType, number>>> = { int8: 0.0217, uint8: 0.0217, int16: 0.000131 };

function weighted(op: string, name: string, init: ConvInit): LayerCase {
  const dtype = init.activations ?? "int8";
  const [zeroIn, zeroOut] = ZERO[dtype]!;
  const inScale = IN_SCALE[dtype]!;
  const w = weights(init.filter);
  const channels = init.output.at(-1)!;
  const biasType = init.bias ?? (dtype === "int16" ? "int64" : "int32");
  const reach = dtype === "int16" ? 3e6 : 3e3;
  const bias = biasType === "none" ? [] : [biases(channels, inScale, init.filter.scale, biasType, reach)];
  const outScale = init.outScale ?? (dtype === "int16" ? 0.00041 : 0.0831);
  return layer(`${dtype} ${name}`, op, {
    inputs: [coded("x", dtype, init.input, inScale, zeroIn)],
    outputs: [coded("y", dtype, init.output, outScale, zeroOut)],
    constants: [w, ...bias],
    attributes: init.attributes,
  });
}

export const conv = (name: string, init: ConvInit): LayerCase => weighted("CONV_2D", name, init);
export const depthwise = (name: string, init: ConvInit): LayerCase => weighted("DEPTHWISE_CONV_2D", name, init);
export const dense = (name: string, init: ConvInit): LayerCase => weighted("FULLY_CONNECTED", name, init);

export const convCases = (activations: DType): readonly LayerCase[] => [
  conv("3x3 SAME, scales per channel", {
    activations,
    input: [2, 9, 8, 5],
    output: [2, 9, 8, 7],
    filter: { shape: [7, 3, 3, 5], scale: scalesOf(7, 0.0031) },
    attributes: convOptions("SAME"),
  }),
  conv("3x3 VALID, stride 2, RELU", {
    activations,
    input: [1, 11, 10, 4],
    output: [1, 5, 4, 6],
    filter: { shape: [6, 3, 3, 4], scale: scalesOf(6, 0.0023) },
    attributes: { ...convOptions("VALID", 2), fused_activation_function: "RELU" },
  }),
  conv("3x2 SAME, stride 2, RELU6, one scale", {
    activations,
    input: [1, 10, 9, 3],
    output: [1, 5, 5, 4],
    filter: { shape: [4, 3, 2, 3], scale: 0.0051 },
    attributes: { ...convOptions("SAME", 2), fused_activation_function: "RELU6" },
  }),
  conv("3x3 SAME, dilation 2", {
    activations,
    input: [1, 9, 9, 3],
    output: [1, 9, 9, 4],
    filter: { shape: [4, 3, 3, 3], scale: scalesOf(4, 0.0047) },
    attributes: convOptions("SAME", 1, 2),
  }),
  conv("1x1", {
    activations,
    input: [1, 6, 7, 16],
    output: [1, 6, 7, 8],
    filter: { shape: [8, 1, 1, 16], scale: scalesOf(8, 0.0029) },
    attributes: convOptions("VALID"),
  }),
  conv("3x3 SAME, two groups", {
    activations,
    input: [1, 6, 6, 8],
    output: [1, 6, 6, 6],
    filter: { shape: [6, 3, 3, 4], scale: scalesOf(6, 0.0029) },
    attributes: convOptions("SAME"),
  }),
  depthwise("3x3 SAME", {
    activations,
    input: [2, 8, 7, 6],
    output: [2, 8, 7, 6],
    filter: { shape: [1, 3, 3, 6], scale: scalesOf(6, 0.0093), axis: 3 },
    attributes: { ...convOptions("SAME"), depth_multiplier: 1 },
  }),
  depthwise("3x3 VALID, stride 2, multiplier 2, RELU6", {
    activations,
    input: [1, 9, 9, 4],
    output: [1, 4, 4, 8],
    filter: { shape: [1, 3, 3, 8], scale: scalesOf(8, 0.0093), axis: 3 },
    attributes: { ...convOptions("VALID", 2), depth_multiplier: 2, fused_activation_function: "RELU6" },
  }),
  depthwise("5x5 SAME, dilation 2", {
    activations,
    input: [1, 11, 11, 3],
    output: [1, 11, 11, 3],
    filter: { shape: [1, 5, 5, 3], scale: scalesOf(3, 0.0063), axis: 3 },
    attributes: { ...convOptions("SAME", 1, 2), depth_multiplier: 1 },
  }),
  dense("one scale", {
    activations,
    input: [4, 33],
    output: [4, 10],
    filter: { shape: [10, 33], scale: 0.0043 },
    attributes: NONE,
  }),
  dense("one scale, no bias, RELU", {
    activations,
    bias: "none",
    input: [3, 20],
    output: [3, 8],
    filter: { shape: [8, 20], scale: 0.0053 },
    attributes: { fused_activation_function: "RELU" },
  }),
  dense("scales per row", {
    activations,
    input: [4, 33],
    output: [4, 10],
    filter: { shape: [10, 33], scale: scalesOf(10, 0.0023) },
    attributes: NONE,
  }),
];

export const transposed = (
  activations: DType,
  padding: string,
  stride: number,
  output: readonly number[],
): LayerCase => {
  const dtype = activations;
  const [zeroIn, zeroOut] = ZERO[dtype]!;
  const inScale = IN_SCALE[dtype]!;
  const filter = { shape: [output[3]!, 3, 3, 5], scale: scalesOf(output[3]!, 0.0031) };
  const wide = dtype === "int16";
  return layer(`${dtype} ${padding}, stride ${stride}`, "TRANSPOSE_CONV", {
    inputs: [coded("x", dtype, [1, 5, 4, 5], inScale, zeroIn)],
    outputs: [coded("y", dtype, output, wide ? 0.00041 : 0.0531, zeroOut)],
    constants: [
      ints("shape", output),
      weights(filter),
      biases(output[3]!, inScale, filter.scale, wide ? "int64" : "int32", wide ? 3e6 : 3e3),
    ],
    reads: ["shape", "w", "x", "b"],
    attributes: { padding, stride_w: stride, stride_h: stride, ...NONE },
  });
};

/** 16-bit activations whose bias has 32 bits, as the option has to say. */
export const narrowBias = (): LayerCase =>
  dense("32-bit bias", {
    activations: "int16",
    bias: "int32",
    input: [4, 33],
    output: [4, 10],
    filter: { shape: [10, 33], scale: scalesOf(10, 0.0023) },
    attributes: { ...NONE, quantized_bias_type: "INT32" },
  });

export const unsignedCases: readonly LayerCase[] = [
  conv("3x3 SAME, zero points everywhere, RELU", {
    activations: "uint8",
    input: [1, 9, 8, 5],
    output: [1, 9, 8, 7],
    filter: { shape: [7, 3, 3, 5], scale: 0.0051, dtype: "uint8", zero: 121 },
    attributes: { ...convOptions("SAME"), fused_activation_function: "RELU" },
  }),
  depthwise("3x3 SAME, zero points everywhere", {
    activations: "uint8",
    input: [1, 8, 7, 6],
    output: [1, 8, 7, 6],
    filter: { shape: [1, 3, 3, 6], scale: 0.0093, dtype: "uint8", zero: 133 },
    attributes: { ...convOptions("SAME"), depth_multiplier: 1 },
  }),
  dense("zero points everywhere", {
    activations: "uint8",
    input: [4, 33],
    output: [4, 10],
    filter: { shape: [10, 33], scale: 0.0043, dtype: "uint8", zero: 125 },
    attributes: NONE,
  }),
];

/** A fully-connected layer whose weights come from outside. */
export const givenWeights = (): LayerCase =>
  layer("int8 weights from outside", "FULLY_CONNECTED", {
    inputs: [coded("x", "int8", [4, 33], 0.0217, -9), coded("w", "int8", [10, 33], 0.0043, 0)],
    outputs: [coded("y", "int8", [4, 10], 0.0831, 11)],
    constants: [biases(10, 0.0217, 0.0043, "int32", 3e3)],
    attributes: NONE,
  });

export const stacked = (dtype: DType): LayerCase =>
  dense("three dimensions, kept", {
    activations: dtype,
    input: [2, 3, 20],
    output: [2, 3, 8],
    filter: { shape: [8, 20], scale: scalesOf(8, 0.0041) },
    attributes: { ...NONE, keep_num_dims: 1 },
  });

export const oddly = (name: string, depth: number): LayerCase =>
  dense(name, {
    input: [4, depth],
    output: [4, 10],
    filter: { shape: [10, depth], scale: scalesOf(10, 0.023), dtype: "int4" },
    attributes: NONE,
  });
