/** The op tables by container. */
import type { Dialect } from "./dialect.ts";
import type { GraphContainer, Model } from "./model.ts";
import { ONNX } from "./onnx-ops.ts";
import { TFLITE } from "./tflite-ops.ts";

const DIALECTS: Readonly<Record<GraphContainer, Dialect>> = { onnx: ONNX, tflite: TFLITE };

/** The op table of a model. */
export const dialectOf = ({ container }: Pick<Model, "container">): Dialect => DIALECTS[container];
