/**
 * A plain interpreter of TFLite models: every value of every layer as LiteRT computes it where layers compute with codes,
 * up to the order of sums where they compute with floats. For debugging and as the measure of generated code; slow.
 */
import { readTflite } from "../containers/tflite/index.ts";
import { nodeLabel } from "../ir/edit.ts";
import type { Feeds, Graph, Model, NDArray, Node, ValueInfo } from "../ir/model.ts";
import { bytesSource } from "../ir/source.ts";
import type { Call, Kernel, Operand } from "../kernels/tflite/call.ts";
import { TFLITE_KERNELS } from "../kernels/tflite/index.ts";
import { FewbitError, fail } from "../numeric/errors.ts";
import { fixBatch } from "../passes/fix-batch.ts";
import {
  type Engine,
  type MemoryPlace,
  type ModelPlace,
  type NodeTime,
  type OpenOptions,
  placeLabel,
  type Session,
} from "./contract.ts";
import { checkedDType } from "./feedable.ts";
import { checkFeeds, checkFetches } from "./feeds.ts";
import { anyBatches, batchCount } from "./litert-batches.ts";
import { countTypedOps } from "./tflite-histogram.ts";
import { arrayOf, constantOperand, emptyOperand, fedOperand, optionsOf, typesOf } from "./tflite-operands.ts";
import { batchFeeds, joinBatches, noRows } from "./tflite-reference-batches.ts";

/** One node ready to run: its kernel, and the names of what it reads and fills. */
interface Step {
  readonly node: Node;
  readonly kernel: Kernel;
  readonly where: string;
  readonly options: Call["options"];
}

const supported = (): string => Object.keys(TFLITE_KERNELS).join(", ");

function kernelOf({ op, domain }: Node, where: string): Kernel {
  if (domain !== "" || !Object.hasOwn(TFLITE_KERNELS, op))
    return fail("unsupported", `${where}: the reference has no kernel for this op; it computes ${supported()}`);
  return TFLITE_KERNELS[op as keyof typeof TFLITE_KERNELS];
}

function stepOf(node: Node): Step {
  const where = `node "${nodeLabel(node)}" (${node.op})`;
  return { node, where, kernel: kernelOf(node, where), options: optionsOf(node) };
}

type Values = Map<string, Operand>;
type Results = Readonly<Record<string, NDArray>>;

/** The values of a run before its first node: constants and what was fed. */
function startValues({ graph, constants }: Prepared, feeds: Feeds): Values {
  const values = new Map(constants);
  for (const input of graph.inputs) values.set(input.name, fedOperand(input, feeds[input.name]!));
  return values;
}

const readFrom = (values: Values, name: string, where: string): Operand =>
  values.get(name) ?? fail("graph", `${where}: nothing computes its input "${name}"`);

function runStep({ types }: Prepared, { node, kernel, where, options }: Step, values: Values): void {
  const inputs = node.inputs.map((name) => (name === "" ? undefined : readFrom(values, name, where)));
  const outputs = node.outputs.map((name) =>
    emptyOperand(types.get(name) ?? fail("graph", `${where}: its output "${name}" has no declared type`)),
  );
  kernel({ where, inputs, outputs, options });
  for (const output of outputs) values.set(output.name, output);
}

/** A model with its constants in memory. */
interface Prepared {
  readonly graph: Graph;
  readonly where: string;
  readonly steps: readonly Step[];
  readonly types: ReadonlyMap<string, ValueInfo>;
  readonly constants: ReadonlyMap<string, Operand>;
  readonly times: Map<string, NodeTime>;
  /** Of every value that a run computes or is given. */
  readonly names: ReadonlySet<string>;
}

function count(times: Map<string, NodeTime>, { node }: Step, ms: number): void {
  const label = nodeLabel(node);
  const seen = times.get(label);
  times.set(label, { node: label, op: node.op, ms: ms + (seen?.ms ?? 0), runs: 1 + (seen?.runs ?? 0) });
}

function runAll(prepared: Prepared, feeds: Feeds): Values {
  const { steps, times } = prepared;
  const values = startValues(prepared, feeds);
  for (const step of steps) {
    const start = performance.now();
    runStep(prepared, step, values);
    count(times, step, performance.now() - start);
  }
  return values;
}

/** Puts the model's name in front of what went wrong inside. */
function inModel<T>(where: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (!(cause instanceof FewbitError)) throw cause;
    return fail(cause.code, `${where}: ${cause.message}`, cause);
  }
}

const fetched = (values: Values, names: readonly string[]): Results =>
  Object.fromEntries(names.map((name) => [name, arrayOf(values.get(name)!)]));

/** Runs batch after batch, as the runtime does. */
function runBatches(prepared: Prepared, feeds: Feeds, fetches: readonly string[]): Results {
  const { graph, types } = prepared;
  const count = batchCount(graph.inputs, feeds);
  const results = Array.from({ length: count }, (_, batch) =>
    fetched(runAll(prepared, batchFeeds(graph.inputs, feeds, batch, count)), fetches),
  );
  if (count === 1) return results[0]!;
  const join = (name: string): NDArray => {
    if (count === 0) return noRows(types.get(name) ?? { name });
    if (graph.tensors.has(name)) return results[0]![name]!;
    return joinBatches(
      name,
      results.map((result) => result[name]!),
    );
  };
  return Object.fromEntries(fetches.map((name) => [name, join(name)]));
}

async function prepare({ graph, container }: Model, where: string): Promise<Prepared> {
  if (container !== "tflite") fail("unsupported", `${where}: the reference runs tflite models, this is ${container}`);
  const steps = inModel(where, () => graph.nodes.map(stepOf));
  const constants = new Map<string, Operand>();
  for (const tensor of graph.tensors.values()) constants.set(tensor.name, await constantOperand(tensor));
  const names = new Set([
    ...graph.inputs.map(({ name }) => name),
    ...constants.keys(),
    ...graph.nodes.flatMap(({ outputs }) => outputs.filter((name) => name !== "")),
  ]);
  return { graph, where, steps, types: typesOf(graph), constants, times: new Map(), names };
}

/**
 * A model open for the reference. Unlike other sessions it hands out every value of the main graph: `fetches` may name
 * inputs, constants and inner values too.
 */
export async function referenceSession(
  model: Model,
  where = "reference",
  { profile = false }: OpenOptions = {},
): Promise<Session> {
  const prepared = await prepare(fixBatch(model, 1), where);
  const { inputs, outputs } = model.graph;
  const byName = new Map(prepared.graph.inputs.map((input) => [input.name, anyBatches(input)]));
  const outputsByName = new Map(outputs.map((output) => [output.name, output]));
  const all = [...new Set(outputs.map(({ name }) => name))];
  let closed = false;
  return {
    threads: 1,
    inputs,
    outputs,
    async run(feeds, fetches = all) {
      if (closed) fail("engine", `${where}: the session is closed; open the model again`);
      checkFeeds(byName, feeds);
      for (const name of byName.keys()) checkedDType(feeds[name]!, `input "${name}"`);
      checkFetches(
        outputsByName,
        fetches.filter((name) => !prepared.names.has(name)),
      );
      return inModel(where, () => runBatches(prepared, feeds, fetches));
    },
    profile: async () =>
      profile
        ? [...prepared.times.values()]
        : fail("usage", `${where}: open the session with \`profile: true\` to profile it`),
    async close() {
      closed = true;
    },
  };
}

/** What the engine needs of the place it runs in. */
export interface ReferenceOptions {
  /** Loads a model file into memory; without it only models in memory can be opened. */
  readonly readModel?: (path: string) => Promise<MemoryPlace>;
}

async function readPlace(place: ModelPlace, { readModel }: ReferenceOptions): Promise<Model> {
  if (!("path" in place)) return readTflite(bytesSource(place.bytes));
  if (readModel === undefined)
    return fail("usage", `reference: ${place.path} can't be opened by path here; pass the model's bytes`);
  return readTflite(bytesSource((await readModel(place.path)).bytes));
}

/** The reference as an engine. It knows no threads and no optimizations. */
export const tfliteReference = (options: ReferenceOptions = {}): Engine => ({
  name: "reference",
  version: "1",
  description: "fewbit's own interpreter of TFLite models, 1 thread",
  open: async (place: ModelPlace, wish: OpenOptions = {}) =>
    referenceSession(await readPlace(place, options), `reference: ${placeLabel(place)}`, wish),
  opHistogram: async (place: ModelPlace) => countTypedOps(await readPlace(place, options)),
});
