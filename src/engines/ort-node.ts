/**
 * The native engine: `onnxruntime-node` on the CPU. A run blocks the event loop for as long as it takes.
 * Models are best opened by path: weights from memory are held twice.
 */
import { readOnnx } from "../containers/onnx/index.ts";
import { type ByteSource, bytesSource } from "../ir/source.ts";
import { fail } from "../numeric/errors.ts";
import {
  type Engine,
  type ModelPlace,
  type Opened,
  type OpenOptions,
  type OpHistogram,
  placeLabel,
  type Session,
} from "./contract.ts";
import { countOps } from "./histogram.ts";
import { type Ort, type OrtOptions, type OrtSession, ortModule, sessionOptions } from "./ort-api.ts";
import { ortFail } from "./ort-errors.ts";
import { ortSession } from "./ort-session.ts";
import type { Scratch } from "./scratch.ts";

export interface OrtNodeOptions {
  /** Needed for profiles and op histograms, which ONNX Runtime writes into files. */
  readonly scratch?: Scratch;
  /** Loads the package; for tests. */
  readonly load?: () => Promise<Ort | { readonly default: Ort }>;
}

const where = (place: ModelPlace): string => `ort-node: ${placeLabel(place)}`;

/**
 * ONNX Runtime reads this when its library is loaded; without it, it keeps usage files under the home folder. A worker
 * thread has only a copy of the environment: load the engine on the main thread first, or share the environment.
 */
function switchTelemetryOff(): void {
  const env = globalThis.process?.env;
  if (env) env.ORT_DISABLE_TELEMETRY = "1";
}

const absent = (cause: unknown): string =>
  (cause as { code?: string }).code === "ERR_MODULE_NOT_FOUND"
    ? "onnxruntime-node is not installed"
    : `onnxruntime-node can't be loaded here (${String((cause as Error).message ?? cause).split("\n")[0]})`;

function create(ort: Ort, place: ModelPlace, options: OrtOptions): Promise<OrtSession> {
  const all = { ...options, executionProviders: ["cpu"] };
  if ("path" in place) return ort.InferenceSession.create(place.path, all);
  const externalData = (place.external ?? []).map(({ location, bytes }) => ({ path: location, data: bytes }));
  return ort.InferenceSession.create(place.bytes, externalData.length === 0 ? all : { ...all, externalData });
}

/** The one profile ONNX Runtime wrote into the folder; its name ends with the time it was opened. */
async function readProfile(scratch: Scratch, folder: string): Promise<string> {
  const [file] = await scratch.files(folder);
  return new TextDecoder().decode(await scratch.read(file ?? fail("engine", "ort-node: the engine wrote no profile")));
}

async function openProfiled(ort: Ort, place: ModelPlace, options: OrtOptions, scratch: Scratch) {
  const folder = await scratch.folder();
  const dispose = () => scratch.remove(folder);
  const profiling = { ...options, enableProfiling: true, profileFilePrefix: `${folder}/profile` };
  const session = await create(ort, place, profiling).catch(async (cause) => {
    await dispose();
    return ortFail(where(place), cause);
  });
  const endProfile = async () => {
    session.endProfiling();
    return readProfile(scratch, folder);
  };
  return { session, endProfile, dispose };
}

async function open(ort: Ort, place: ModelPlace, wish: OpenOptions, scratch?: Scratch): Promise<Session> {
  const threads = wish.threads ?? 1;
  const options = sessionOptions(threads, wish.optimize, wish.spin);
  const parts = { ort, where: where(place), threads };
  if (!wish.profile) {
    const session = await create(ort, place, options).catch((cause) => ortFail(where(place), cause));
    return ortSession({ ...parts, session });
  }
  if (scratch === undefined) fail("unsupported", "ort-node: profiling needs a scratch folder, and none was given");
  return ortSession({ ...parts, ...(await openProfiled(ort, place, options, scratch)) });
}

/** Stands for the weights of an optimized graph, which nobody looks at. */
const UNREAD: ByteSource = {
  size: Number.POSITIVE_INFINITY,
  read: async () => fail("engine", "ort-node: weights of the optimized graph were asked for"),
};

/** Lets the engine write its optimized graph, weights beside it, and counts its nodes. */
async function opHistogram(ort: Ort, place: ModelPlace, scratch: Scratch): Promise<OpHistogram> {
  const folder = await scratch.folder();
  const path = `${folder}/optimized.onnx`;
  const extra = { session: { optimized_model_external_initializers_file_name: "weights" } };
  try {
    const session = await create(ort, place, { ...sessionOptions(1), extra, optimizedModelFilePath: path });
    await session.release();
    const source = bytesSource(await scratch.read(path));
    return countOps(await readOnnx(source, { external: async () => UNREAD, repeats: true }));
  } catch (cause) {
    return ortFail(where(place), cause);
  } finally {
    await scratch.remove(folder);
  }
}

const engine = (ort: Ort, scratch?: Scratch): Engine => ({
  name: "ort-node",
  version: ort.env.versions.node ?? "",
  description: "ONNX Runtime, native CPU",
  open: (place, options = {}) => open(ort, place, options, scratch),
  opHistogram: async (place) => (scratch === undefined ? undefined : opHistogram(ort, place, scratch)),
});

/** The native engine, or why it can't be had. Nothing it does writes a file outside `scratch` or uses the network. */
export async function openOrtNode(options: OrtNodeOptions = {}): Promise<Opened> {
  switchTelemetryOff();
  try {
    const ort = ortModule(await (options.load ?? (() => import("onnxruntime-node")))());
    ort.env.logLevel = "fatal";
    return { engine: engine(ort, options.scratch) };
  } catch (cause) {
    return { reason: absent(cause) };
  }
}
