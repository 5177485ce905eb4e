/** fewbit for Node: the commands as functions, and the pieces they are made of. */

export { openDataset, openLabels } from "./data.ts";
export { availableEngines } from "./engines.ts";
export { type OpenedModel, openModelFile, type WriteModelOptions, type WrittenFile, writeModel } from "./files.ts";
export { type NodeHost, nodeHost } from "./host.ts";
export type * from "./requests.ts";
export { bench, cleanup, compare, demo, inspect, names, plan, quantize, schemes } from "./services.ts";
