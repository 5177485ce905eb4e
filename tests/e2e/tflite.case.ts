/** A small TFLite model with images, in a folder of its own. */
import { join } from "node:path";
import { float, floatTensor, node, tensor, tfliteModel, valueInfo } from "../../src/ir/build.ts";
import type { Model, NDArray, Tensor } from "../../src/ir/model.ts";
import { samples, saved, savedArray, workspace } from "./cli.case.ts";

export const CLASSES = 3;
export const COUNT = 48;

const random = (name: string, shape: readonly number[], seed: number): Tensor => {
  const data = samples(shape, seed).data as Float32Array;
  return floatTensor(
    name,
    shape,
    data.map((value) => value / 2),
  );
};

/** Convolution, pool, dense layer and Softmax over images of 8 x 8 x 2, as Keras writes them; `op` stands before the end. */
export function network(op = "RESHAPE"): Model {
  const v = (name: string, ...shape: readonly number[]) => valueInfo(name, "float32", shape);
  const window = { padding: "SAME", stride_h: 2, stride_w: 2 };
  return tfliteModel({
    inputs: [v("image:0", 1, 8, 8, 2)],
    outputs: [v("scores", 1, CLASSES)],
    nodes: [
      node("CONV_2D", ["image:0", "conv/w", "conv/b"], ["a"], {
        attributes: { ...window, fused_activation_function: "RELU" },
      }),
      node("MAX_POOL_2D", ["a"], ["b"], { attributes: { ...window, filter_height: 2, filter_width: 2 } }),
      node(op, ["b", "flat"], ["c"]),
      node("FULLY_CONNECTED", ["c", "dense/w", "dense/b"], ["d"]),
      node("SOFTMAX", ["d"], ["scores"], { attributes: { beta: float(1) } }),
    ],
    values: [v("a", 1, 4, 4, 6), v("b", 1, 2, 2, 6), v("c", 1, 24), v("d", 1, CLASSES)],
    tensors: [
      random("conv/w", [6, 3, 3, 2], 1),
      random("conv/b", [6], 2),
      random("dense/w", [CLASSES, 24], 3),
      random("dense/b", [CLASSES], 4),
      tensor("flat", "int32", [2], Int32Array.of(-1, 24)),
    ],
  });
}

/** The model, images for it, and a path in a folder that is not there yet. */
export async function place() {
  const folder = await workspace();
  const model = await saved(folder, network(), "model.tflite");
  const images: NDArray = samples([COUNT, 8, 8, 2]);
  const data = await savedArray(folder, "images.npy", images);
  return { folder, model, data, out: join(folder, "made", "model.onnx") };
}
