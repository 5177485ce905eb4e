/** A small TFLite model that is quick to train. */
import { float, floatTensor, node, tensor, tfliteModel, valueInfo } from "../../ir/build.ts";
import type { Model, NDArray, Tensor } from "../../ir/model.ts";
import { rng } from "../../numeric/rng.ts";

const values = (seed: number, count: number, scale: number): Float32Array => {
  const { normal } = rng(seed);
  return Float32Array.from({ length: count }, () => scale * normal());
};
/** Images of random numbers. */
export const images = (seed: number, count: number): NDArray => ({
  dtype: "float32",
  shape: [count, 6, 6, 3],
  data: values(seed, count * 108, 1),
});

const random = (name: string, shape: readonly number[], seed: number, scale: number): Tensor =>
  floatTensor(
    name,
    shape,
    values(
      seed,
      shape.reduce((a, b) => a * b, 1),
      scale,
    ),
  );

/** A float32 value. */
export const v = (name: string, ...shape: readonly number[]) => valueInfo(name, "float32", shape);
const SAME = { padding: "SAME", stride_h: 1, stride_w: 1 };

/** Convolution, a depthwise and a narrow one behind it that are added, pool, two dense layers: each layout of weights, and ops of each kind. */
export const network = (): Model =>
  tfliteModel({
    inputs: [v("image", 1, 6, 6, 3)],
    outputs: [v("scores", 1, 4)],
    nodes: [
      node("CONV_2D", ["image", "conv/w", "conv/b"], ["a"], {
        attributes: { ...SAME, fused_activation_function: "RELU" },
      }),
      node("DEPTHWISE_CONV_2D", ["a", "depth/w", "depth/b"], ["b"], { attributes: { ...SAME, depth_multiplier: 1 } }),
      node("CONV_2D", ["a", "skip/w", "skip/b"], ["s"], { attributes: SAME }),
      node("ADD", ["s", "b"], ["c"], { attributes: { fused_activation_function: "RELU" } }),
      node("AVERAGE_POOL_2D", ["c"], ["d"], {
        attributes: { padding: "VALID", stride_h: 2, stride_w: 2, filter_height: 2, filter_width: 2 },
      }),
      node("RESHAPE", ["d", "flat"], ["e"]),
      node("FULLY_CONNECTED", ["e", "first/w", "first/b"], ["f"]),
      node("LOGISTIC", ["f"], ["g"]),
      node("FULLY_CONNECTED", ["g", "second/w", "second/b"], ["h"]),
      node("SOFTMAX", ["h"], ["scores"], { attributes: { beta: float(1) } }),
    ],
    values: [v("a", 1, 6, 6, 8), v("b", 1, 6, 6, 8), v("s", 1, 6, 6, 8), v("c", 1, 6, 6, 8), v("d", 1, 3, 3, 8)].concat(
      [...[v("e", 1, 72), v("f", 1, 12), v("g", 1, 12), v("h", 1, 4)]],
    ),
    tensors: [
      ...[random("conv/w", [8, 3, 3, 3], 1, 0.3), random("conv/b", [8], 2, 0.1)],
      ...[random("depth/w", [1, 3, 3, 8], 3, 0.4), random("depth/b", [8], 4, 0.1)],
      ...[random("skip/w", [8, 1, 1, 8], 9, 0.3), random("skip/b", [8], 12, 0.1)],
      ...[random("first/w", [12, 72], 5, 0.3), random("first/b", [12], 6, 0.1)],
      ...[random("second/w", [4, 12], 7, 2), random("second/b", [4], 8, 0.1)],
      tensor("flat", "int32", [2], Int32Array.of(-1, 72)),
    ],
  });
