/** Which nodes of a graph that ONNX Runtime optimized compute in integers. */
import { fail } from "../numeric/errors.ts";
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
    const arithmetic = HEAVY_OPS[op];
    if (arithmetic) count[arithmetic] += nodes;
  }
  const heavy = count.integer + count.codes + count.float;
  return { ...count, share: heavy === 0 ? 0 : count.integer / heavy };
}

/** Positions of op type, nodes and sub-graphs in onnx.proto; everything else is skipped. */
const FIELDS = {
  model: { graph: 7 },
  graph: { node: 1 },
  node: { op: 4, attribute: 5 },
  attribute: { graph: 6, graphs: 11 },
} as const;

/** Ops of an ONNX file that the engine itself wrote, sub-graphs included. */
export function countOps(file: Uint8Array): OpHistogram {
  const counts: Record<string, number> = {};
  const graph = (bytes: Uint8Array): void =>
    fields(bytes, {
      [FIELDS.graph.node]: (node) =>
        fields(node, {
          [FIELDS.node.op]: (name) => {
            const op = new TextDecoder().decode(name);
            counts[op] = (counts[op] ?? 0) + 1;
          },
          [FIELDS.node.attribute]: (attribute) =>
            fields(attribute, { [FIELDS.attribute.graph]: graph, [FIELDS.attribute.graphs]: graph }),
        }),
    });
  fields(file, { [FIELDS.model.graph]: graph });
  return counts;
}

/** Calls the function of each length-delimited field that has one. */
function fields(bytes: Uint8Array, on: Readonly<Record<number, (value: Uint8Array) => void>>): void {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[at++] ?? fail("format", "the engine's optimized model is cut short");
      value += (byte % 128) * scale;
      if (byte < 128) return value;
    }
  };
  const lengths: Readonly<Record<number, () => number>> = { 0: () => varint() * 0, 1: () => 8, 2: varint, 5: () => 4 };
  while (at < bytes.length) {
    const key = varint();
    const length = lengths[key % 8]?.() ?? fail("format", "the engine's optimized model is not a protobuf");
    if (key % 8 === 2) on[Math.floor(key / 8)]?.(bytes.subarray(at, at + length));
    at += length;
  }
}
