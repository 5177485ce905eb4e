/** A thread that runs models while this one stays free for progress and Ctrl-C: the engine's runs block their thread. */
import { createRequire } from "node:module";
import { SHARE_ENV, Worker } from "node:worker_threads";
import { type Engine, type ModelPlace, type OpenOptions, placeLabel, type Session } from "../engines/contract.ts";
import { type OrtMetadata, sessionOptions } from "../engines/ort-api.ts";
import { ortFail } from "../engines/ort-errors.ts";
import { valueInfo } from "../engines/ort-values.ts";
import type { Feeds } from "../ir/model.ts";
import { fail } from "../numeric/errors.ts";
import type { OpenLoop } from "../pipeline/train/loop.ts";
import type { OrtEngineName } from "./engines.ts";
import { externalFiles } from "./external.ts";
import { TRAIN_WORKER_SCRIPT } from "./train-worker-script.ts";

/** An engine whose sessions run in a thread of their own, and loops whose state stays there. */
export interface TrainWorker extends AsyncDisposable {
  readonly engine: Engine;
  readonly loop: OpenLoop;
}

const PACKAGES: Readonly<Record<OrtEngineName, string>> = {
  "ort-node": "onnxruntime-node",
  "ort-web": "onnxruntime-web",
};
const PROVIDERS: Readonly<Record<OrtEngineName, string>> = { "ort-node": "cpu", "ort-web": "wasm" };

interface Answer {
  readonly id: number;
  readonly answer?: unknown;
  readonly error?: string;
}

interface OpenAnswer {
  readonly handle: number;
  readonly inputs: readonly OrtMetadata[];
  readonly outputs: readonly OrtMetadata[];
}

/** Asks the thread for something; `where` names the model in errors. */
type Ask = <T>(where: string, job: string, values: object) => Promise<T>;

interface Pending {
  readonly where: string;
  readonly resolve: (answer: never) => void;
  readonly reject: (error: unknown) => void;
}

const failed = (where: string, error: string): unknown => {
  try {
    return ortFail(where, error);
  } catch (cause) {
    return cause;
  }
};

/** Questions and answers by number; when the thread ends, all that is open fails. */
function conversation(worker: Worker): Ask {
  const pending = new Map<number, Pending>();
  let asked = 0;
  let ended: string | undefined;
  const ending = (where: string) =>
    failed(where, `the training thread ended (${ended}); there may be too little memory`);
  const end = (why: string) => {
    ended ??= why;
    for (const { where, reject } of pending.values()) reject(ending(where));
    pending.clear();
  };
  worker.on("message", ({ id, answer, error }: Answer) => {
    const question = pending.get(id);
    pending.delete(id);
    if (error === undefined) question?.resolve(answer as never);
    else question?.reject(failed(question.where, error));
  });
  worker.on("error", (error: Error) => end(error.message));
  worker.on("exit", (code) => end(`code ${code}`));
  return (where, job, values) =>
    new Promise((resolve, reject) => {
      if (ended !== undefined) return reject(ending(where));
      const id = ++asked;
      pending.set(id, { where, resolve, reject });
      worker.postMessage({ id, job, ...values });
    });
}

async function openIn(
  ask: Ask,
  engine: OrtEngineName,
  place: ModelPlace,
  options: OpenOptions,
  next?: readonly unknown[],
) {
  const where = `${engine}: ${placeLabel(place)}`;
  if (!("path" in place)) return fail("engine", `${where}: the training thread opens files only`);
  const external = engine === "ort-web" ? await externalFiles(place.path) : undefined;
  const optimize = options.optimize === "none" ? "disabled" : "all";
  const opened = await ask<OpenAnswer>(where, "open", { path: place.path, external, optimize, next });
  const { handle } = opened;
  let closed = false;
  return {
    opened,
    ask: <T>(job: string, values: object = {}) => ask<T>(where, job, { handle, ...values }),
    async close(): Promise<void> {
      if (closed) return;
      closed = true;
      await ask(where, "close", { handle });
    },
  };
}

async function openSession(
  ask: Ask,
  engine: OrtEngineName,
  threads: number,
  place: ModelPlace,
  options: OpenOptions,
): Promise<Session> {
  const { opened, ask: own, close } = await openIn(ask, engine, place, options);
  const outputs = opened.outputs.map(valueInfo);
  const all = outputs.map(({ name }) => name);
  return {
    ...{ threads, outputs, close },
    inputs: opened.inputs.map(valueInfo),
    run: (feeds, fetches = all) => own<Feeds>("run", { feeds, fetches }),
    profile: async () => fail("usage", "models in the training thread are not profiled"),
  };
}

/**
 * A process that ends while the engine is in the middle of a run would be aborted from inside the engine, which finds no
 * thread to hand its results to. The signal that asked for the end ends it at once, and shells see the exit code 130 too.
 */
function endAtOnce(): void {
  process.removeAllListeners("SIGINT");
  process.kill(process.pid, "SIGINT");
}

/** Starts the thread with one of the engines; the model files it opens must stay where they are until they are closed. */
export function startTrainWorker(main: Engine, threads: number): TrainWorker {
  const name = main.name as OrtEngineName;
  const options = { ...sessionOptions(threads, "all", true), executionProviders: [PROVIDERS[name]] };
  const worker = new Worker(TRAIN_WORKER_SCRIPT, {
    eval: true,
    // the engine's telemetry is switched off by a variable that a copy of the environment would lack
    env: SHARE_ENV,
    workerData: { package: createRequire(import.meta.url).resolve(PACKAGES[name]), options },
  });
  const ask = conversation(worker);
  process.on("exit", endAtOnce);
  return {
    engine: { ...main, open: (place, wish = {}) => openSession(ask, name, threads, place, wish) },
    async loop(place, next, wish) {
      const { ask: own, close } = await openIn(ask, name, place, wish, [...next]);
      return {
        load: (state) => own("load", { state }),
        run: (feeds, fetches) => own("run", { feeds, fetches }),
        state: () => own("state"),
        close,
      };
    },
    async [Symbol.asyncDispose]() {
      process.off("exit", endAtOnce);
      await worker.terminate();
    },
  };
}
