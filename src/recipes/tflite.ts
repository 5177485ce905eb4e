/**
 * The named schemes of TFLite models. Codes as the LiteRT 8-bit quantization specification has them: weights symmetric
 * without the lowest code, activations int8 with a zero point, or int16 without one.
 */
import type { Scheme } from "../ir/scheme.ts";
import type { DType } from "../numeric/dtypes.ts";
import type { NamedScheme, Step } from "./named-scheme.ts";

const perTensor = (dtype: DType, symmetric: boolean): Scheme => ({ dtype, symmetric, granularity: { per: "tensor" } });
const perAxis = (dtype: "int8" | "int4"): Scheme => ({
  dtype,
  symmetric: true,
  granularity: { per: "axis" },
  codes: dtype === "int8" ? [-127, 127] : [-7, 7],
});

const HALF: Scheme = { dtype: "float16", symmetric: true, granularity: { per: "tensor" } };

const stored = (scheme: Scheme, algorithm: string): Step => ({ form: "dequantize", scheme, algorithm });
const hybrid = (dtype: "int8" | "int4", algorithm: string): Step => ({
  form: "hybrid",
  scheme: perAxis(dtype),
  algorithm,
});

/** What XNNPACK has blockwise kernels for. */
const BLOCKS = [32, 64, 128, 256];

/** All schemes of TFLite. */
export const TFLITE_SCHEMES: readonly NamedScheme[] = [
  {
    name: "w8a8",
    summary: "weights int8 per channel, activations int8 with calibrated ranges (full integer): needs data",
    bits: 8,
    static: { activations: perTensor("int8", false), weights: perAxis("int8"), algorithm: "rtn", io: "float32" },
    steps: [],
  },
  {
    name: "w8a16",
    summary: "weights int8 per channel, activations int16 (16x8): nearly float's accuracy, slow kernels, needs data",
    bits: 8,
    static: { activations: perTensor("int16", true), weights: perAxis("int8"), algorithm: "rtn", io: "float32" },
    steps: [],
  },
  {
    name: "w4a8",
    summary: "weights int4 per channel, activations int8: smallest, meant for trained models, needs data",
    bits: 4,
    static: { activations: perTensor("int8", false), weights: perAxis("int4"), algorithm: "mse", io: "float32" },
    steps: [],
  },
  {
    name: "w8a8-dynamic",
    summary: "weights int8 per channel, activations quantized in each run (dynamic range): no data needed",
    bits: 8,
    steps: [hybrid("int8", "rtn")],
  },
  {
    name: "w4a8-dynamic",
    summary:
      "weights int4 per channel or in groups, int8 for convolutions, activations quantized in each run: no data needed",
    bits: 4,
    steps: [{ ...hybrid("int4", "mse"), groups: BLOCKS }, hybrid("int8", "rtn")],
  },
  {
    name: "w8",
    summary: "weights int8 per channel in the file, float32 arithmetic: smaller with next to no loss",
    bits: 8,
    steps: [stored(perAxis("int8"), "rtn")],
  },
  {
    name: "w4",
    summary: "weights int4 per channel in the file, float32 arithmetic: smaller, loses accuracy without training",
    bits: 4,
    steps: [stored(perAxis("int4"), "mse")],
  },
  {
    name: "fp16",
    summary: "weights float16 in the file: half the size, for GPUs and for CPUs in float32",
    bits: 16,
    steps: [stored(HALF, "rtn")],
  },
];
