/** A process for the tests: quantizes a model and kills itself when so much of the source is done. MODEL OUTPUT SCHEME THREADS */
import { planWeights } from "../pipeline/weights/index.ts";
import type { FileTypeName } from "../recipes/ggml/index.ts";
import { encodeFiles } from "./encode-files.ts";
import { openWeights } from "./open-weights.ts";

/** Of the 12 MB that the tests' model has. */
const ENOUGH = 6_000_000;
let done = 0;

const [model, path, scheme, threads] = process.argv.slice(2) as [string, string, FileTypeName, string];
const { weights } = await openWeights(model);
await encodeFiles(weights, planWeights(weights, scheme), {
  ...{ path, threads: Number(threads), signal: new AbortController().signal },
  onBytes(bytes) {
    done += bytes;
    if (done >= ENOUGH) process.kill(process.pid, "SIGKILL");
  },
});
