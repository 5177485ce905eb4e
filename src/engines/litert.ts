/**
 * The engine of TFLite files: LiteRT as WebAssembly, from the package `@litertjs/core`, on the CPU with one thread, in
 * browsers and Node. A run blocks the thread it is on. Rows beyond the file's batch are run batch after batch.
 */
import { encodeTflite, readTflite } from "../containers/tflite/index.ts";
import { withGraph } from "../ir/edit.ts";
import type { Model } from "../ir/model.ts";
import { bytesSource, collect } from "../ir/source.ts";
import { fail } from "../numeric/errors.ts";
import { fixBatch } from "../passes/fix-batch.ts";
import {
  type Engine,
  type MemoryPlace,
  type ModelPlace,
  type Opened,
  type OpenOptions,
  placeLabel,
  type Session,
} from "./contract.ts";
import { LITERT_VERSION, type LitertPackage } from "./litert-api.ts";
import { litertFail } from "./litert-errors.ts";
import { type Machine, startMachine } from "./litert-machine.ts";
import { openRunner } from "./litert-model.ts";
import { litertSession } from "./litert-session.ts";
import { countTypedOps } from "./tflite-histogram.ts";

/** What the engine needs of the place it runs in. */
export interface LitertOptions {
  /** Finds and compiles the package: `loadLitert` of Node, `litertFrom(folder)` in browsers. */
  readonly load: () => Promise<LitertPackage>;
  /** Loads a model file into memory: WebAssembly sees no file system. */
  readonly readModel?: (path: string) => Promise<MemoryPlace>;
}

/** How to get the package. */
export const LITERT_INSTALL = `npm install @litertjs/core@${LITERT_VERSION}`;

async function bytesOf(place: ModelPlace, read: LitertOptions["readModel"]): Promise<Uint8Array> {
  if (!("path" in place)) return place.bytes;
  if (read === undefined) fail("usage", `litert: ${place.path} can't be opened by path here; pass the model's bytes`);
  return (await read(place.path)).bytes;
}

const where = (place: ModelPlace): string => `litert: ${placeLabel(place)}`;

/** A file and the model in it. */
interface Opening {
  readonly bytes: Uint8Array;
  readonly model: Model;
}

/** LiteRT takes damaged files without a word, so every file is read and checked by fewbit first. */
async function read(place: ModelPlace, options: LitertOptions): Promise<Opening> {
  const bytes = await bytesOf(place, options.readModel);
  try {
    return { bytes, model: await readTflite(bytesSource(bytes)) };
  } catch (cause) {
    return litertFail(where(place), cause);
  }
}

/**
 * `model` with each output once, and without those that are inputs: LiteRT fills only the first of two alike, and reads
 * nothing from an input that is an output too.
 */
function plainOutputs(model: Model): Model {
  const { inputs, outputs } = model.graph;
  const passed = new Set(inputs.map(({ name }) => name));
  const names = outputs.map(({ name }) => name);
  const plain = outputs.filter(({ name }, at) => !passed.has(name) && names.indexOf(name) === at);
  return plain.length === outputs.length ? model : withGraph(model, { ...model.graph, outputs: plain });
}

/** What LiteRT is handed: the file itself, or a copy with plain outputs that takes one row where the file leaves it open. */
export async function runnable({ bytes, model }: Opening): Promise<Opening> {
  const ready = plainOutputs(fixBatch(model, 1));
  return ready === model ? { bytes, model } : { bytes: await collect(encodeTflite(ready).main), model: ready };
}

/** A machine that is started when it is first needed, and again after one has crashed. */
function machines(loaded: LitertPackage, first: Machine): () => Promise<Machine> {
  let current = Promise.resolve(first);
  return async () => {
    if ((await current).broken) current = startMachine(loaded);
    return current;
  };
}

async function open(machine: Machine, place: ModelPlace, wish: OpenOptions, options: LitertOptions): Promise<Session> {
  if (wish.profile) fail("unsupported", `${where(place)}: LiteRT's WebAssembly has no profile; open it without`);
  const opening = await read(place, options);
  try {
    const { bytes, model } = await runnable(opening);
    const { inputs, values, opaque = [] } = model.graph;
    const hasState = opaque.length > 0 || [...values.values()].some(({ dtype }) => dtype === undefined);
    const runner = openRunner(machine, { bytes, inputs: inputs.length, hasState });
    return litertSession(runner, { file: opening.model.graph, run: model.graph }, where(place));
  } catch (cause) {
    return litertFail(where(place), cause);
  }
}

function engine(loaded: LitertPackage, first: Machine, options: LitertOptions): Engine {
  const machine = machines(loaded, first);
  return {
    name: "litert",
    version: loaded.version,
    description: "LiteRT, WebAssembly on the CPU, 1 thread",
    open: async (place, wish = {}) => open(await machine(), place, wish, options),
    opHistogram: async (place) => countTypedOps((await read(place, options)).model),
  };
}

const absent = (cause: unknown): string =>
  /^(?:ERR_)?MODULE_NOT_FOUND$/.test(String((cause as { code?: unknown }).code))
    ? `@litertjs/core is not installed; \`${LITERT_INSTALL}\` adds it`
    : `@litertjs/core can't be loaded here (${String((cause as Error).message ?? cause).split("\n")[0]})`;

/** LiteRT, or why it can't be had. It reads nothing but its own package and uses no network. */
export async function openLitert(options: LitertOptions): Promise<Opened> {
  try {
    const loaded = await options.load();
    return { engine: engine(loaded, await startMachine(loaded), options) };
  } catch (cause) {
    return { reason: absent(cause) };
  }
}
