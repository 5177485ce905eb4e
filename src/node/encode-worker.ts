/** A thread that waits for a job and encodes pieces until none is left; then it tells the one that started it what went wrong. */
import { once } from "node:events";
import { parentPort } from "node:worker_threads";
import { hasGgmlWasm } from "../kernels/ggml/machine.ts";
import type { FewbitError } from "../numeric/errors.ts";
import { claim, STOP, sharedViews } from "./encode-job.ts";
import { runnerOf, type ThreadJob } from "./encode-runners.ts";
import type { Ended } from "./encode-threads.ts";

async function work(job: ThreadJob): Promise<Ended> {
  const shared = sharedViews(job);
  const runner = await runnerOf(job);
  let piece = -1;
  try {
    for (piece = claim(shared, job.pieces); piece >= 0; piece = claim(shared, job.pieces)) await runner.run(piece);
    return {};
  } catch (error) {
    Atomics.store(shared.control, STOP, 1);
    const { code, message } = error as FewbitError;
    return { failure: { piece, code, message } };
  } finally {
    runner.close();
  }
}

const port = parentPort!;
const told = once(port, "message") as Promise<[ThreadJob]>;
// compiles the program while the job is still being planned
hasGgmlWasm();
const [job] = await told;
port.postMessage(await work(job));
