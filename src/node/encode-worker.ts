/** A thread that encodes pieces until none is left; what goes wrong is told to the one that started it. */
import { parentPort, workerData } from "node:worker_threads";
import type { FewbitError } from "../numeric/errors.ts";
import { claim, type EncodeJob, STOP, sharedViews } from "./encode-job.ts";
import { pieceRunner } from "./encode-pieces.ts";

const job = workerData as EncodeJob;
const shared = sharedViews(job);
const runner = pieceRunner(job);
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
