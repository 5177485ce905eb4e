/** The models of the engines' suite as ONNX files. */
import type { ContractModels } from "./contract.case.ts";
import { FEEDABLE, type FeedableDType } from "./feedable.ts";
import { branches, conv, doubleConv, gather, identity, inFiles, inMemory, matmul, qdq, single } from "./models.case.ts";

export const ONNX_MODELS: ContractModels = {
  inMemory,
  inFiles,
  rows: "batch",
  matmul,
  conv,
  identity,
  dtypes: Object.keys(FEEDABLE) as FeedableDType[],
  branches,
  branchesHistogram: { If: 1, Neg: 1, Sqrt: 1 },
  quantized: qdq,
  quantizedHistogram: { QuantizeLinear: 1, QLinearMatMul: 1, DequantizeLinear: 1 },
  gather,
  badIndex: /indices element out of/,
  indexOf: (index) => ({ dtype: "int64", shape: [1], data: BigInt64Array.of(BigInt(index)) }),
  named: (name) => single("Relu", 17, name),
  async refusals() {
    const { bytes } = await inMemory(matmul);
    return [
      [{ bytes: new TextEncoder().encode("no model at all") }, "format", /not an ONNX model, or cut short/],
      [{ bytes: bytes.subarray(0, bytes.length - 9) }, "format", /cut short/],
      [await inMemory(single("Frobnicate")), "engine", /does not know op Frobnicate in opset 17/],
      [await inMemory(single("Relu", 99)), "engine", /opset 99 .* newer than the engine knows/],
      [await inMemory(doubleConv), "engine", /node "it": the engine has no kernel for Conv/],
      [await inMemory(identity("bfloat16")), "unsupported", /element type .* that JavaScript can't hold/],
    ];
  },
};
