/** A process for the tests: quantizes a model and kills itself at the first news of progress. MODEL OUTPUT SCHEME THREADS */
import { planWeights } from "../pipeline/weights/index.ts";
import type { FileTypeName } from "../recipes/ggml/index.ts";
import { encodeFiles } from "./encode-files.ts";
import { openWeights } from "./open-weights.ts";

const [model, path, scheme, threads] = process.argv.slice(2) as [string, string, FileTypeName, string];
const { weights } = await openWeights(model);
await encodeFiles(weights, planWeights(weights, scheme), {
  ...{ path, threads: Number(threads), signal: new AbortController().signal },
  onBytes: () => process.kill(process.pid, "SIGKILL"),
});
