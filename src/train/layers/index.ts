/** Layers to build small models of: `buildModel({ inputs }, (build, x) => sequential(dense(64), relu, dense(10))(build, x))`. */
export { dropout, flatten, gelu, relu, sigmoid, silu, softmax, tanh } from "./activations.ts";
export { type AttentionOptions, attention } from "./attention.ts";
export { type Build, type BuildOptions, type Built, buildModel, type Layer } from "./building.ts";
export { named, residual, sequential } from "./combine.ts";
export {
  averagePool,
  type ConvOptions,
  conv,
  depthwise,
  globalAveragePool,
  maxPool,
  type WindowOptions,
} from "./conv.ts";
export { type DenseOptions, dense, embedding, gated } from "./dense.ts";
export { type Fans, glorot, he, type Init, lecun, normal, ones, scaled, zeros } from "./init.ts";
export { type LlamaOptions, llama } from "./llama.ts";
export { type LlamaFolder, type LlamaFolderInit, llamaFolder, llamaFolderNames } from "./llama-folder.ts";
export { batchNorm, layerNorm, rmsNorm } from "./norm.ts";
export { type TrainingForm, trainingForm } from "./training-form.ts";
