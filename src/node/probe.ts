/**
 * What a model costs, measured in a process of its own: memory that an earlier model left behind can't blur it.
 * The child runs a script passed as text, so it works from compiled files and from TypeScript sources alike.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createRequire } from "node:module";
import { readTflite } from "../containers/tflite/index.ts";
import { runnable } from "../engines/litert.ts";
import { litertFail } from "../engines/litert-errors.ts";
import { printedError } from "../engines/litert-machine.ts";
import { hideSignatures } from "../engines/litert-signatures.ts";
import { sessionOptions } from "../engines/ort-api.ts";
import { ortFail } from "../engines/ort-errors.ts";
import type { Feeds } from "../ir/model.ts";
import { bytesSource } from "../ir/source.ts";
import { fail } from "../numeric/errors.ts";
import type { EngineName } from "./engines.ts";
import { externalFiles } from "./external.ts";
import { litertFiles, readTfliteFile } from "./litert.ts";
import { probeScript } from "./probe-script.ts";
import { LITERT_START, ORT_START } from "./probe-starts.ts";

export interface ProbeOptions {
  readonly engine: ProbedEngine;
  /** 1 by default. */
  readonly threads?: number;
  /** Without feeds the model is only opened. */
  readonly feeds?: Feeds;
  /** 5 by default. */
  readonly runs?: number;
  /** The child is ended after this time; ten minutes by default. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/**
 * Milliseconds and bytes. Memory is counted above that of a process with the engine started and no model; on Linux
 * without code that is paged in from the engine's library meanwhile, which would hide small models.
 */
export interface Probe {
  /** Opening the model; with WebAssembly, reading the file too. */
  readonly loadMs: number;
  /** The first run, which may allocate; absent without feeds. */
  readonly firstRunMs?: number;
  /** Median over the runs of what is resident after a run and a garbage collection; after opening without feeds. */
  readonly residentBytes: number;
  /** Most that was resident at any moment while opening and running. */
  readonly peakBytes: number;
}

type Answer = Probe | { readonly error: string };

const TIMEOUT_MS = 600_000;
const ERROR_CHARACTERS = 4000;

interface ProbeRow {
  readonly package: string;
  /** V8's baseline compiler only, so that its optimizing compiler does not drown a small model's memory in its own. */
  readonly flags: readonly "--liftoff-only"[];
  readonly start: string;
  /** What `start` wants to know besides path and feeds. */
  readonly job: (path: string, threads: number) => Promise<object>;
  /** Rethrows what the engine said. */
  readonly refuse: (where: string, cause: unknown) => never;
}

const { resolve } = createRequire(import.meta.url);

/** The file is read by the child, unless LiteRT needs a changed copy of it. */
async function litertJob(path: string): Promise<object> {
  const { bytes } = await readTfliteFile(path);
  const file = { bytes, model: await readTflite(bytesSource(bytes)) };
  const ready = await runnable(file);
  return {
    script: litertFiles().script,
    inputs: ready.model.graph.inputs.map(({ name }) => name),
    patch: hideSignatures(ready.bytes),
    ...(ready.bytes !== bytes && { bytes: ready.bytes }),
  };
}

/** Engines that are measured; the reference is not meant to be lean. */
export type ProbedEngine = Exclude<EngineName, "reference">;

const ROWS: Readonly<Record<ProbedEngine, ProbeRow>> = {
  "ort-node": {
    package: "onnxruntime-node",
    flags: [],
    start: ORT_START,
    refuse: ortFail,
    job: async (_, threads) => ({
      package: resolve("onnxruntime-node"),
      options: { ...sessionOptions(threads), executionProviders: ["cpu"] },
    }),
  },
  "ort-web": {
    package: "onnxruntime-web",
    flags: ["--liftoff-only"],
    start: ORT_START,
    refuse: ortFail,
    job: async (path, threads) => ({
      package: resolve("onnxruntime-web"),
      options: { ...sessionOptions(threads), executionProviders: ["wasm"] },
      external: await externalFiles(path),
    }),
  },
  litert: {
    package: "@litertjs/core",
    flags: ["--liftoff-only"],
    start: LITERT_START,
    refuse: (where, cause) => litertFail(where, printedError(String(cause).split("\n"))),
    job: litertJob,
  },
};

/** Whether an engine can be measured. */
export const isProbed = (engine: string): engine is ProbedEngine => Object.hasOwn(ROWS, engine);

function assertInstalled(engine: ProbedEngine): void {
  const { package: name } = ROWS[engine];
  try {
    resolve(name);
  } catch (cause) {
    fail("engine", `${name} is not installed, so ${engine} can't be measured`, cause);
  }
}

/** A clean environment: options of this process must not reach the child, and telemetry stays off. */
function environment(): NodeJS.ProcessEnv {
  const { NODE_OPTIONS: _, ...rest } = process.env;
  return { ...rest, ORT_DISABLE_TELEMETRY: "1" };
}

const spawnProbe = ({ flags, start }: ProbeRow, signal: AbortSignal): ChildProcess =>
  spawn(process.execPath, ["--expose-gc", ...flags, "-e", probeScript(start)], {
    env: environment(),
    stdio: ["ignore", "ignore", "pipe", "ipc"],
    serialization: "advanced",
    signal,
    killSignal: "SIGKILL",
  });

/** The last words of a process, for the message about its end. */
function lastWords(child: ChildProcess): () => string {
  let text = "";
  child.stderr?.on("data", (chunk) => {
    text = `${text}${chunk}`.slice(-ERROR_CHARACTERS);
  });
  return () => /^\w*Error: .*$/m.exec(text)?.[0] ?? "";
}

const ending = (code: number | null, signal: string | null, words: string): string =>
  `the measuring process ended ${signal ? `by ${signal}; there may be too little memory` : `with code ${code}`} ${words}`;

/** Sends the job and waits for the one answer. */
const ask = (child: ChildProcess, job: object): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const words = lastWords(child);
    child.once("message", (answer) => resolve(answer as Answer));
    child.once("error", reject);
    child.once("close", (code, signal) => reject(new Error(ending(code, signal, words()).trim())));
    child.send(job, (error) => error && reject(error));
  });

/** Opens the model file in a fresh process, runs it a few times, and says what that took. */
export async function probe(path: string, options: ProbeOptions): Promise<Probe> {
  const { engine, threads = 1, feeds, runs = 5, timeoutMs = TIMEOUT_MS } = options;
  const timeout = AbortSignal.timeout(timeoutMs);
  const where = `${engine}: ${path}`;
  assertInstalled(engine);
  const row = ROWS[engine];
  const job = { ...(await row.job(path, threads)), path, feeds, runs };
  const child = spawnProbe(row, options.signal ? AbortSignal.any([timeout, options.signal]) : timeout);
  const answer = await ask(child, job).catch((cause: Error) => {
    if (options.signal?.aborted) fail("cancelled", "the measurement was interrupted");
    if (timeout.aborted) fail("engine", `${path}: measuring took longer than ${timeoutMs / 1000} s`);
    return fail("engine", `${path}: ${cause.message}`, cause);
  });
  return "error" in answer ? row.refuse(where, answer.error) : answer;
}
