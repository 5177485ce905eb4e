/**
 * Weights that are listed as graph inputs become constants. Before IR version 4 every initializer had to be listed, and
 * none could be replaced by the caller (ONNX IR specification, "Graphs"). Since then a listed one is a default that a
 * caller may replace; exporters list weights out of habit all the same, and a weight that may change can't be quantized.
 */
import { withGraph } from "../ir/edit.ts";
import type { Graph, ValueInfo } from "../ir/model.ts";
import { DTYPES } from "../numeric/dtypes.ts";
import type { Pass } from "./pass.ts";

/** First version where an initializer that is no input is legal. */
const FREE_INITIALIZERS = 4;

/** Floats of two or more dimensions; scalars and vectors may well be settings. */
const isWeight = ({ tensors }: Graph, { name }: ValueInfo): boolean => {
  const tensor = tensors.get(name);
  return tensor !== undefined && tensor.shape.length >= 2 && DTYPES[tensor.dtype].kind === "float";
};

export const unlistInitializers: Pass = {
  name: "unlist-initializers",
  summary: "make weights that are listed as inputs constants",
  apply(model) {
    const { graph, formatVersion } = model;
    const old = formatVersion < FREE_INITIALIZERS;
    const inputs = graph.inputs.filter((input) => !(old ? graph.tensors.has(input.name) : isWeight(graph, input)));
    if (formatVersion === 0 || inputs.length === graph.inputs.length) return model;
    return { ...withGraph(model, { ...graph, inputs }), formatVersion: Math.max(formatVersion, FREE_INITIALIZERS) };
  },
};
