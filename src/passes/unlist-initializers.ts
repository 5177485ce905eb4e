/**
 * Before IR version 4 every initializer had to be listed as a graph input too, and none could be replaced by the caller
 * (ONNX IR specification, "Graphs"; ONNX Runtime treats them as constants). They leave the inputs, at version 4.
 */
import { withGraph } from "../ir/edit.ts";
import type { Pass } from "./pass.ts";

/** First version where an initializer that is no input is legal. */
const FREE_INITIALIZERS = 4;

export const unlistInitializers: Pass = {
  name: "unlist-initializers",
  summary: "make weights of old files constants instead of inputs",
  apply(model) {
    const { graph } = model;
    if (model.formatVersion >= FREE_INITIALIZERS || model.formatVersion === 0) return model;
    const inputs = graph.inputs.filter(({ name }) => !graph.tensors.has(name));
    if (inputs.length === graph.inputs.length) return model;
    return { ...withGraph(model, { ...graph, inputs }), formatVersion: FREE_INITIALIZERS };
  },
};
