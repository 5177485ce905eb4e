// @ts-check
/**
 * A model from nothing: layers, loss, optimizer and gradients become one ONNX graph, which the engine runs step by step.
 *   node examples/train-small.js [ort-web]
 */
import { nodeHost } from "fewbit/node";
import { learn, smallNet } from "./browser/learn.js";

const { model, parameters } = smallNet();
console.log(`${model.graph.nodes.length} nodes, ${parameters.length} parameters: ${parameters.join(", ")}`);
const engine = process.argv[2];
const host = await nodeHost({ threads: 1, ...(engine && { engine }) }, new AbortController().signal);
const losses = await learn(host);
console.log(`${host.engine.description}: loss ${losses[0]} -> ${losses.at(-1)} in ${losses.length} steps`);
