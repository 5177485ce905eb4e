/** A small float network in TFLite's terms: convolution, addition, pool, dense layer, softmax. */
import { float, floatTensor, node, tensor, tfliteModel, valueInfo } from "../../ir/build.ts";
import { withGraph } from "../../ir/edit.ts";
import type { Model } from "../../ir/model.ts";
import { rng } from "../../numeric/rng.ts";

const values = (seed: number, count: number, scale = 1): Float32Array => {
  const random = rng(seed);
  return Float32Array.from({ length: count }, () => scale * (2 * random.uniform() - 1));
};

const CONV = { padding: "SAME", stride_w: 1, stride_h: 1, fused_activation_function: "RELU" };
const POOL = { padding: "VALID", stride_w: 2, stride_h: 2, filter_width: 2, filter_height: 2 };

const WIDE_POOL = { ...POOL, padding: "SAME", stride_w: 1, stride_h: 1 };

/** The same network with a dense layer of 64 inputs: its pool moves by one position and is padded. */
export function widened(model: Model): Model {
  const { graph } = model;
  const nodes = graph.nodes.map((one) =>
    one.op === "AVERAGE_POOL_2D" ? { ...one, attributes: node("", [], [], { attributes: WIDE_POOL }).attributes } : one,
  );
  const matrix = floatTensor("matrix", [3, 64], values(4, 192, 0.5));
  const flat = tensor("flat_shape", "int32", [2], Int32Array.of(1, 64));
  const inner = new Map(graph.values).set("pooled", { ...graph.values.get("pooled")!, shape: [1, 4, 4, 4] });
  inner.set("flat", { ...graph.values.get("flat")!, shape: [1, 64] });
  const tensors = new Map(graph.tensors).set("matrix", matrix).set("flat_shape", flat);
  return withGraph(model, { ...graph, nodes, values: inner, tensors });
}

/** [1, 4, 4, 2] -> [1, 3]. */
export const smallNet = (): Model =>
  tfliteModel({
    inputs: [valueInfo("image", "float32", [1, 4, 4, 2])],
    outputs: [valueInfo("classes", "float32", [1, 3])],
    nodes: [
      node("CONV_2D", ["image", "kernel", "offset"], ["features"], { attributes: CONV }),
      node("ADD", ["features", "shift"], ["shifted"]),
      node("AVERAGE_POOL_2D", ["shifted"], ["pooled"], { attributes: POOL }),
      node("RESHAPE", ["pooled", "flat_shape"], ["flat"]),
      node("FULLY_CONNECTED", ["flat", "matrix", "bias"], ["scores"]),
      node("SOFTMAX", ["scores"], ["classes"], { attributes: { beta: float(1) } }),
    ],
    tensors: [
      floatTensor("kernel", [4, 3, 3, 2], values(1, 72, 0.5)),
      floatTensor("offset", [4], values(2, 4, 0.1)),
      floatTensor("shift", [1, 1, 1, 4], values(3, 4)),
      tensor("flat_shape", "int32", [2], Int32Array.of(1, 16)),
      floatTensor("matrix", [3, 16], values(4, 48, 0.5)),
      floatTensor("bias", [3], values(5, 3, 0.1)),
    ],
    values: [
      valueInfo("features", "float32", [1, 4, 4, 4]),
      valueInfo("shifted", "float32", [1, 4, 4, 4]),
      valueInfo("pooled", "float32", [1, 2, 2, 4]),
      valueInfo("flat", "float32", [1, 16]),
      valueInfo("scores", "float32", [1, 3]),
    ],
  });
