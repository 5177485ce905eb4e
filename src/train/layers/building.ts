/**
 * Small models from scratch. A layer is a function from a value to a value that adds nodes and named weights to the model
 * that is being built; `buildModel` gives an ordinary ONNX model in inference form.
 */
import { graph, onnxModel, tensor, valueInfo } from "../../ir/build.ts";
import type { Dim, Graph, Model, Node, ValueInfo } from "../../ir/model.ts";
import { fail } from "../../numeric/errors.ts";
import { type Rng, rng } from "../../numeric/rng.ts";
import { knownTensor } from "../types.ts";
import { startWriting, type Writer, type Writing, writerFor, written } from "../writer.ts";
import type { Fans, Init } from "./init.ts";

/** What a layer may ask and do. */
export interface Build extends Writer {
  /** Adds a trained float32 weight, named after the layer ("stem.conv.weight"), and gives its name. */
  weight(name: string, shape: readonly number[], init: Init, fans?: Fans): string;
  /** Adds a float32 tensor that is not trained by gradients: running statistics. */
  buffer(name: string, shape: readonly number[], init: Init): string;
  /** The same model, names beginning with one more part; a part that is taken gets a number. */
  inside(part: string): Build;
  /** Length of an axis, negative from the end; an error when it is open, since weights need it. */
  length(value: string, axis: number): number;
}

/** Adds nodes and weights that compute something of `x`, and gives the name of the result. */
export type Layer = (build: Build, x: string) => string;

/** A new model and which of its initializers are weights; the others are constants and running statistics. */
export interface Built {
  readonly model: Model;
  /** For `StepOptions.parameters`, in the order the layers made them. */
  readonly parameters: readonly string[];
}

/** What a new model has besides its layers. */
export interface BuildOptions {
  readonly inputs: readonly ValueInfo[];
  /** Names of the outputs; "output" by default. */
  readonly outputs?: readonly string[];
  /** First values of all weights follow from it; 0 by default. */
  readonly seed?: number;
  /** Name of the graph. */
  readonly name?: string;
  readonly metadata?: Readonly<Record<string, string>>;
}

/** Operator set of new models, and the IR version that goes with it: 4-bit weights exist from there on. */
const OPSET = 21;
const IR_VERSION = 10;

interface Site {
  readonly writing: Writing;
  readonly random: Rng;
  readonly parameters: string[];
  readonly path: string;
}

const NO_FANS: Fans = { fanIn: 1, fanOut: 1 };

function addTensor({ writing, random, path }: Site, part: string, shape: readonly number[], init: Init, fans: Fans) {
  const name = writing.fresh(path === "" ? part : `${path}.${part}`);
  const made = tensor(name, "float32", shape, init(random, shape, fans));
  writing.constants.set(`weight ${name}`, made);
  writing.types.set(name, knownTensor(made));
  return name;
}

function buildAt(site: Site): Build {
  const { writing, path, parameters } = site;
  const writer = writerFor({ ...writing, prefix: path === "" ? "model" : path }, `layer "${path}"`);
  return {
    ...writer,
    weight(part, shape, init, fans = NO_FANS) {
      const name = addTensor(site, part, shape, init, fans);
      parameters.push(name);
      return name;
    },
    buffer: (part, shape, init) => addTensor(site, part, shape, init, NO_FANS),
    inside: (part) => buildAt({ ...site, path: writing.fresh(path === "" ? part : `${path}.${part}`) }),
    length(value, axis) {
      const found = writer.dims(value)?.at(axis);
      return typeof found === "number" ? found : writer.refuse(`axis ${axis} of "${value}" must have a known length`);
    },
  };
}

/** Calls a value something else wherever it is made and read. */
const renamed = (nodes: readonly Node[], from: string, to: string): readonly Node[] => {
  const names = (list: readonly string[]) => list.map((name) => (name === from ? to : name));
  return nodes.map((node) => ({ ...node, inputs: names(node.inputs), outputs: names(node.outputs) }));
};

/** Lengths for people: symbols that nobody declared are left open. */
const declared = (dims: readonly Dim[] | undefined): readonly Dim[] | undefined =>
  dims?.map((dim) => (typeof dim === "string" && dim.includes("?") ? null : dim));

/** The graph with the values `made` as its outputs `names`. */
function withOutputs(whole: Graph, made: readonly string[], names: readonly string[], { types }: Writing): Graph {
  if (made.length !== names.length)
    fail("usage", `build: ${made.length} values were made for the outputs ${names.join(", ")}; make one for each`);
  let { nodes } = whole;
  const outputs = made.map((value, index) => {
    if (!nodes.some((node) => node.outputs.includes(value)))
      fail("usage", `build: output "${names[index]}" is "${value}", which no layer makes, or is named twice`);
    nodes = renamed(nodes, value, names[index]!);
    return valueInfo(names[index]!, types.get(value)?.dtype ?? "float32", declared(types.get(value)?.dims));
  });
  return { ...whole, nodes, outputs };
}

/**
 * Builds a model: `make` gets the names of the inputs in order and gives the value of the output, or a list of them. The
 * same options and layers give the same bytes.
 */
export function buildModel(
  options: BuildOptions,
  make: (build: Build, ...inputs: readonly string[]) => string | readonly string[],
): Built {
  const { inputs, outputs = ["output"], seed = 0, name = "model", metadata = {} } = options;
  const writing = startWriting(graph({ name, inputs, outputs: [], nodes: [] }), "model");
  for (const output of outputs) writing.fresh(output);
  const site: Site = { writing, random: rng(seed), parameters: [], path: "" };
  const made = [make(buildAt(site), ...inputs.map((input) => input.name))].flat();
  const whole = withOutputs(written(writing), made, outputs, writing);
  const model = onnxModel(whole, { opsets: { "": OPSET }, formatVersion: IR_VERSION, metadata });
  return { model, parameters: site.parameters };
}
