/** TFLite: constants behind a DEQUANTIZE become float constants, those of codes with the grid they lie on. */
import { withGraph, withTensors } from "../ir/edit.ts";
import type { Graph, Node, Tensor } from "../ir/model.ts";
import type { GivenGrid, Quantization } from "../ir/scheme.ts";
import { computedSource, readAll } from "../ir/source.ts";
import { axisShape } from "../kernels/axis.ts";
import { bytesOf, decodeFloats } from "../numeric/convert.ts";
import { DTYPES, elementCount } from "../numeric/dtypes.ts";
import { type SubByteBits, unpackSigned, unpackUnsigned } from "../numeric/packing.ts";
import type { Pass } from "./pass.ts";
import { forgetValues } from "./values.ts";

export const decodeConstants: Pass = {
  name: "decode-constants",
  summary: "turn stored halves and codes behind DEQUANTIZE into float weights that can be quantized",
  apply: (model) => withGraph(model, decoded(model.graph)),
};

const isFloat = ({ dtype }: Tensor): boolean => dtype === "float16" || dtype === "bfloat16";

/** Codes of 8 bits and fewer with one scale, or one per index of an axis. */
const isCoded = ({ dtype, quantization }: Tensor): boolean =>
  DTYPES[dtype].bits <= 8 && quantization !== undefined && quantization.blocks === undefined;

function decoded(graph: Graph): Graph {
  const outputs = new Set(graph.outputs.map(({ name }) => name));
  const found = new Map<Node, Tensor>();
  for (const node of graph.nodes) {
    const constant = node.op === "DEQUANTIZE" ? graph.tensors.get(node.inputs[0]!) : undefined;
    const name = node.outputs[0]!;
    if (constant === undefined || outputs.has(name)) continue;
    if (isFloat(constant) || isCoded(constant)) found.set(node, floatTensor(constant, name));
  }
  if (found.size === 0) return graph;
  const nodes = graph.nodes.filter((node) => !found.has(node));
  const tensors = [...found.values()];
  const values = forgetValues(
    graph.values,
    tensors.map(({ name }) => name),
  );
  return withTensors({ ...graph, nodes, values }, tensors);
}

function floatTensor(constant: Tensor, name: string): Tensor {
  const { shape, dtype, quantization } = constant;
  const count = elementCount(shape);
  const grid = isFloat(constant) ? undefined : gridOf(dtype, quantization!);
  const data = computedSource(4 * count, async () => bytesOf(await floatsOf(constant, count)));
  return { name, dtype: "float32", shape, data, ...(grid && { grid }) };
}

/** Symmetric codes leave out the lowest, as the LiteRT 8-bit quantization specification wants it of weights. */
function gridOf(dtype: Tensor["dtype"], { qparams, axis }: Quantization): GivenGrid {
  const { min, max } = DTYPES[dtype];
  const symmetric = min < 0 && qparams.zeroPoint.every((zero) => zero === 0);
  return { qparams, codes: [symmetric ? -max : min, max], ...(axis !== undefined && { axis }) };
}

async function floatsOf(constant: Tensor, count: number): Promise<Float32Array> {
  const { shape, dtype, quantization } = constant;
  const bytes = await readAll(constant.data);
  if (isFloat(constant)) return decodeFloats(bytes, dtype);
  const codes = codesIn(bytes, dtype, count);
  const { qparams, axis } = quantization!;
  const { inner, channels } = axis === undefined ? { inner: count, channels: 1 } : axisShape(shape, axis);
  return Float32Array.from(codes, (code, i) => {
    const channel = Math.floor(i / inner) % channels;
    return (code - qparams.zeroPoint[channel]!) * qparams.scale[channel]!;
  });
}

function codesIn(bytes: Uint8Array, dtype: Tensor["dtype"], count: number): ArrayLike<number> {
  const { bits, kind } = DTYPES[dtype];
  if (bits < 8) return (kind === "int" ? unpackSigned : unpackUnsigned)(bytes, bits as SubByteBits, count);
  return kind === "int" ? new Int8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength) : bytes;
}
