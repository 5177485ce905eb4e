/** Encodes all pieces of a job: in this thread, and in others beside it. */
import { setImmediate as nextTurn, setTimeout as pause } from "node:timers/promises";
import { type ErrorCode, FewbitError, fail } from "../numeric/errors.ts";
import { claim, DONE, type Shared, STOP, sharedViews } from "./encode-job.ts";
import { runnerOf, type ThreadJob } from "./encode-runners.ts";
import { takeThread } from "./waiting-threads.ts";

/** How the work is watched; called between pieces. */
export interface EncodeWatch {
  readonly signal: AbortSignal;
  /** What is `cancelled`, for the error. */
  readonly what: string;
  /** More pieces may be done. */
  readonly onTurn: () => void;
}

/** So long this thread works before it looks at signals and timers. */
const TURN_MS = 20;
/** So long it sleeps while others work. */
const PAUSE_MS = 5;
/** What went wrong with which piece. */
interface Failure {
  readonly piece: number;
  readonly error: unknown;
}

/** What a thread tells at its end. */
export interface Ended {
  readonly failure?: { readonly piece: number; readonly code: ErrorCode; readonly message: string };
}

const failureOf = ({ failure }: Ended): Failure | undefined =>
  failure && { piece: failure.piece, error: new FewbitError(failure.code, failure.message) };

/** One more thread at work; the promise holds what went wrong there once it has no more to do. */
function startThread(job: ThreadJob, shared: Shared) {
  const worker = takeThread();
  const ended = new Promise<Failure | undefined>((resolve) => {
    worker.on("message", (told: Ended) => resolve(failureOf(told)));
    worker.on("error", (error: Error) => {
      Atomics.store(shared.control, STOP, 1);
      const text = `a thread that encodes ended (${error.message}); there may be too little memory, use fewer --threads`;
      resolve({ piece: Number.POSITIVE_INFINITY, error: new FewbitError("io", text) });
    });
    worker.on("exit", () => resolve(undefined));
  });
  worker.postMessage(job);
  return { ended, terminate: () => worker.terminate() };
}

const cancelled = (what: string): never => fail("cancelled", `${what} was interrupted; nothing was changed`);

/** Works on pieces in this thread, with a look at the rest of the world between them. */
async function workHere(job: ThreadJob, shared: Shared, watch: EncodeWatch): Promise<Failure | undefined> {
  const runner = await runnerOf(job);
  let turn = performance.now();
  let piece = -1;
  try {
    for (piece = claim(shared, job.pieces); piece >= 0; piece = claim(shared, job.pieces)) {
      await runner.run(piece);
      if (performance.now() - turn < TURN_MS) continue;
      await nextTurn();
      turn = performance.now();
      if (watch.signal.aborted) cancelled(watch.what);
      watch.onTurn();
    }
    return undefined;
  } catch (error) {
    Atomics.store(shared.control, STOP, 1);
    return { piece, error };
  } finally {
    runner.close();
  }
}

/** Waits for the other threads and goes on watching. */
async function waitFor(threads: readonly { readonly ended: Promise<Failure | undefined> }[], watch: EncodeWatch) {
  let done = false;
  const all = Promise.all(threads.map(({ ended }) => ended)).finally(() => {
    done = true;
  });
  while (!done) {
    await Promise.race([all, pause(PAUSE_MS)]);
    if (watch.signal.aborted) return cancelled(watch.what);
    watch.onTurn();
  }
  return all;
}

/**
 * Encodes every piece, in `threads` threads, this one among them. The first piece that fails, in the order of the file,
 * gives the error, however many threads there are.
 */
export async function encodePieces(job: ThreadJob, threads: number, watch: EncodeWatch): Promise<void> {
  const shared = sharedViews(job);
  const others = Array.from({ length: threads - 1 }, () => startThread(job, shared));
  try {
    const own = await workHere(job, shared, watch);
    const failures = [own, ...(await waitFor(others, watch))].filter((failure) => failure !== undefined);
    const [first] = failures.sort((a, b) => a.piece - b.piece);
    if (first !== undefined) throw first.error;
    if (watch.signal.aborted) cancelled(watch.what);
    if (shared.states.some((state) => state !== DONE)) fail("io", "a thread that encodes ended without an error");
  } catch (error) {
    await Promise.all(others.map(({ terminate }) => terminate()));
    throw error;
  }
}
