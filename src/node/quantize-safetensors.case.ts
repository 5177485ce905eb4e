/**
 * A process for the tests: quantizes a folder of safetensors and kills itself at a moment, when so many megabytes of the source
 * are done, or "reading" (back what was written) or "copying" (the second file that goes along). MODEL OUTPUT THREADS MOMENT
 */
import { quantize } from "./services.ts";

const [model, output, threads, moment] = process.argv.slice(2) as [string, string, string, string];
const kill = (): boolean => process.kill(process.pid, "SIGKILL");

let [megabytes, looks] = [0, 0];
let isRead = false;

const progress = {
  note() {},
  step(title: string) {
    if (title.startsWith(moment)) kill();
    const isReading = title.startsWith("reading");
    return {
      tick(count = 1) {
        if (!isReading) megabytes += count;
        if (megabytes >= Number(moment)) kill();
      },
      done() {
        isRead ||= isReading;
      },
    };
  },
};

/** Looked at before each file is copied. */
const signal = {
  get aborted(): boolean {
    if (isRead && moment === "copying" && ++looks === 2) kill();
    return false;
  },
} as AbortSignal;

await quantize(
  {
    model,
    output,
    schemes: ["w4"],
    keep: [],
    force: false,
    embeddings: false,
    encoders: Number(threads),
    threads: 1,
    command: "",
  },
  { progress, signal },
);
