/** A thread that encodes pieces until none is left; what goes wrong is told to the one that started it. */
import { parentPort, workerData } from "node:worker_threads";
import type { FewbitError } from "../numeric/errors.ts";
import { claim, STOP, sharedViews } from "./encode-job.ts";
import { runnerOf, type ThreadJob } from "./encode-runners.ts";

const job = workerData as ThreadJob;
const shared = sharedViews(job);
const runner = await runnerOf(job);
let piece = -1;
try {
  for (piece = claim(shared, job.pieces); piece >= 0; piece = claim(shared, job.pieces)) await runner.run(piece);
} catch (error) {
  Atomics.store(shared.control, STOP, 1);
  const { code, message } = error as FewbitError;
  parentPort?.postMessage({ piece, code, message });
} finally {
  runner.close();
}
