/** Models from one container to another, where the meaning is the same. */
export { CONVERSIONS } from "./ops/index.ts";
export { type Origin, toTflite } from "./origins.ts";
export { type Converted, tfliteToOnnx } from "./tflite-to-onnx.ts";
