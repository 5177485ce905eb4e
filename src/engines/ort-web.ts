/**
 * The engine that runs everywhere: `onnxruntime-web` in WebAssembly on the CPU, in browsers, Node and workers.
 * A run blocks the thread it is on. The number of threads is fixed when the first engine of the process starts.
 */
import type { Feeds } from "../ir/model.ts";
import { fail } from "../numeric/errors.ts";
import { caught, tapConsole } from "./console-tap.ts";
import {
  type Engine,
  type MemoryPlace,
  type ModelPlace,
  type Opened,
  type OpenOptions,
  type OpHistogram,
  placeLabel,
  type Session,
} from "./contract.ts";
import { zeros } from "./feedable.ts";
import { type Ort, type OrtOptions, ortModule, sessionOptions } from "./ort-api.ts";
import { ortFail } from "./ort-errors.ts";
import { ortSession } from "./ort-session.ts";
import { tally } from "./tally.ts";

/** What the WebAssembly engine needs of the place it runs in. */
export interface OrtWebOptions {
  /** 1 by default; more need worker threads, and in browsers a cross-origin isolated page. */
  readonly threads?: number;
  /** Loads a model and its external data into memory: WebAssembly sees no file system. */
  readonly readModel?: (path: string) => Promise<MemoryPlace>;
  /** Catches what the engine prints while a function runs; needed in Node, where it does not print to the console. */
  readonly capture?: (action: () => void) => string;
  /** Loads the package: "onnxruntime-web/wasm" by default; in Node threads need "onnxruntime-web". */
  readonly load?: () => Promise<Ort | { readonly default: Ort }>;
}

interface Started {
  readonly ort: Ort;
  readonly threads: number;
}

const UNCAUGHT =
  "the profile went past fewbit; start the engine before other code uses onnxruntime-web, and give `capture` in Node";

let started: Promise<Started> | undefined;

/** Opening an empty model starts the WebAssembly machine, and fails only after that. */
async function boot(load: () => Promise<Ort | { readonly default: Ort }>, threads: number): Promise<Started> {
  const ort = ortModule(await load());
  ort.env.logLevel = "fatal";
  ort.env.wasm.numThreads = threads;
  const options = { ...sessionOptions(threads), executionProviders: ["wasm"] };
  const failure = await tapConsole(() => ort.InferenceSession.create(new Uint8Array(1), options).catch(String));
  if (!/ERROR_CODE/.test(String(failure))) throw new Error(String(failure));
  return { ort, threads };
}

const inMemory = async (place: ModelPlace, read: OrtWebOptions["readModel"]): Promise<MemoryPlace> => {
  if (!("path" in place)) return place;
  if (read === undefined) fail("usage", `ort-web: ${place.path} can't be opened by path here; pass the model's bytes`);
  return read(place.path);
};

function create(ort: Ort, { bytes, external = [] }: MemoryPlace, options: OrtOptions) {
  const externalData = external.map(({ location, bytes: data }) => ({ path: location, data }));
  return ort.InferenceSession.create(bytes, { ...options, executionProviders: ["wasm"], externalData });
}

async function open({ ort, threads }: Started, place: ModelPlace, wish: OpenOptions, options: OrtWebOptions) {
  const where = `ort-web: ${placeLabel(place)}`;
  const profiling = wish.profile ? { enableProfiling: true, profileFilePrefix: "profile" } : {};
  const session = await inMemory(place, options.readModel)
    .then((model) => create(ort, model, { ...sessionOptions(threads, wish.optimize), ...profiling }))
    .catch((cause) => ortFail(where, cause));
  const parts = { ort, session, where, threads };
  const endProfile = async () =>
    (options.capture ?? caught)(() => session.endProfiling()) || fail("engine", `${where}: ${UNCAUGHT}`);
  return ortSession(wish.profile ? { ...parts, endProfile } : parts);
}

async function runAny(session: Session, feeds?: Feeds): Promise<boolean> {
  const any = () => Object.fromEntries(session.inputs.map((input) => [input.name, zeros(input)]));
  try {
    await session.run(feeds ?? any());
    return true;
  } catch (cause) {
    if (feeds !== undefined) throw cause;
    return false;
  }
}

/** WebAssembly can't write its optimized graph, but its profile names the nodes that ran. */
async function opHistogram(session: Session, feeds?: Feeds): Promise<OpHistogram | undefined> {
  try {
    return (await runAny(session, feeds)) ? tally((await session.profile()).map((node) => node.op)) : undefined;
  } finally {
    await session.close();
  }
}

const threadsText = (threads: number): string => (threads === 1 ? "1 thread" : `${threads} threads`);

const engine = (machine: Started, options: OrtWebOptions): Engine => ({
  name: "ort-web",
  version: machine.ort.env.versions.web ?? "",
  description: `ONNX Runtime, WebAssembly on the CPU, ${threadsText(machine.threads)}`,
  open: (place, wish = {}) => open(machine, place, wish, options),
  opHistogram: async (place, feeds) => opHistogram(await open(machine, place, { profile: true }, options), feeds),
});

/** The WebAssembly engine, or why it can't be had. Later calls share the machine the first one started. */
export async function openOrtWeb(options: OrtWebOptions = {}): Promise<Opened> {
  started ??= boot(options.load ?? (() => import("onnxruntime-web/wasm")), options.threads ?? 1);
  try {
    return { engine: engine(await started, options) };
  } catch (cause) {
    started = undefined;
    return { reason: `onnxruntime-web can't be loaded here (${String((cause as Error).message).split("\n")[0]})` };
  }
}
