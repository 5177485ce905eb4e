/** Which nodes of a graph that ONNX Runtime optimized compute in integers. */
import { graphs } from "../ir/edit.ts";
import type { Model } from "../ir/model.ts";
import type { OpHistogram } from "./contract.ts";

/** How an op that holds most of a model's arithmetic does it: on 8-bit integers, in floats on packed codes, in floats. */
export type Arithmetic = "integer" | "codes" | "float";

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

/** Lighter ops that also stay in integers. */
const LIGHT_INTEGER_OPS = [
  "QLinearAdd",
  "QLinearAveragePool",
  "QLinearConcat",
  "QLinearGlobalAveragePool",
  "QLinearLeakyRelu",
  "QLinearMul",
  "QLinearReduceMean",
  "QLinearSigmoid",
  "QLinearSoftmax",
  "QLinearWhere",
] as const;

/** Op names of optimized graphs whose kernels compute in integers. */
export const INTEGER_OPS: ReadonlySet<string> = new Set([
  ...Object.keys(HEAVY_OPS).filter((op) => HEAVY_OPS[op] === "integer"),
  ...LIGHT_INTEGER_OPS,
]);

/** Numbers of heavy nodes by arithmetic, and the share of those in integers (0 when there are no heavy nodes). */
export interface ComputeShare {
  readonly integer: number;
  /** MatMulNBits belongs here: with accuracy_level 4 it multiplies in 8-bit integers, below that in floats. */
  readonly codes: number;
  readonly float: number;
  readonly share: number;
}

export function computeShare(histogram: OpHistogram): ComputeShare {
  const count = { integer: 0, codes: 0, float: 0 };
  for (const [op, nodes] of Object.entries(histogram)) {
    const arithmetic = Object.hasOwn(HEAVY_OPS, op) && HEAVY_OPS[op];
    if (arithmetic) count[arithmetic] += nodes;
  }
  const heavy = count.integer + count.codes + count.float;
  return { ...count, share: heavy === 0 ? 0 : count.integer / heavy };
}

/** How often each op name occurs. */
export function tally(ops: Iterable<string>): OpHistogram {
  const counts = new Map<string, number>();
  for (const op of ops) counts.set(op, (counts.get(op) ?? 0) + 1);
  return Object.fromEntries(counts);
}

/** Nodes of a model by op name, those of sub-graphs included. */
export const countOps = (model: Model): OpHistogram =>
  tally([...graphs(model.graph)].flatMap(({ graph }) => graph.nodes.map((node) => node.op)));
