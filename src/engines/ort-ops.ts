/** Which ops of a graph that ONNX Runtime optimized compute in integers. */
import type { Arithmetic } from "./contract.ts";

/** Ops of ONNX and of ONNX Runtime's own domains that multiply matrices, one row each. */
export const HEAVY_OPS: Readonly<Record<string, Arithmetic>> = {
  ConvInteger: "integer",
  DynamicQuantizeLSTM: "integer",
  DynamicQuantizeMatMul: "integer",
  MatMulInteger: "integer",
  MatMulInteger16: "integer",
  MatMulIntegerToFloat: "integer",
  QAttention: "integer",
  QGemm: "integer",
  QLinearConv: "integer",
  QLinearMatMul: "integer",
  QMoE: "codes",
  MatMulBnb4: "codes",
  MatMulNBits: "codes",
  Attention: "float",
  Conv: "float",
  ConvTranspose: "float",
  Einsum: "float",
  FusedConv: "float",
  FusedGemm: "float",
  FusedMatMul: "float",
  GRU: "float",
  Gemm: "float",
  GroupQueryAttention: "float",
  LSTM: "float",
  MatMul: "float",
  MoE: "float",
  MultiHeadAttention: "float",
  NhwcFusedConv: "float",
  RNN: "float",
};

/** Arithmetic of an op that multiplies matrices; undefined for lighter ones. */
export const ortArithmetic = (op: string): Arithmetic | undefined =>
  Object.hasOwn(HEAVY_OPS, op) ? HEAVY_OPS[op] : undefined;
