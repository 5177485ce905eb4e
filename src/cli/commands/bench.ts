/** fewbit bench: speed and memory of several models, interleaved. */
import { type Command, EXIT } from "../command.ts";
import { writeJson } from "../json.ts";
import {
  dataRequest,
  ENGINE_OPTIONS,
  type EngineFlags,
  engineRequest,
  integer,
  present,
  SAMPLE_OPTIONS,
  type SampleFlags,
} from "../option.ts";
import { printBench } from "../print/bench.ts";
import { printBenchLanguage } from "../print/language.ts";

interface BenchFlags extends EngineFlags, SampleFlags {
  readonly data?: string;
  readonly batch: number;
  readonly runs?: number;
}

export const bench: Command = {
  name: "bench",
  summary: "measure latency, throughput and memory of models, taking turns between them",
  arguments: [{ name: "<models...>", summary: "model files; the first one is what the others are measured against" }],
  options: [
    {
      flags: "--data <data>",
      summary: "samples to run; made-up values by default, since speed does not depend on them",
    },
    { flags: "--batch <n>", summary: "samples in one run", parse: integer(1, 65536), otherwise: 1 },
    { flags: "--runs <n>", summary: "timed runs of each model", parse: integer(1, 1e6) },
    ...SAMPLE_OPTIONS,
    ...ENGINE_OPTIONS,
  ],
  examples: [
    ["bench model.onnx", "one model"],
    ["bench model.onnx small.onnx", "how much faster the second is"],
    ["bench model.onnx small.onnx --threads 4 --data samples.npy", "four threads, real inputs"],
    ["bench model.onnx small.onnx --engine ort-web", "in WebAssembly, as in a browser"],
    ["bench model.gguf small.gguf --threads 4", "GGUF: tokens per second of prompts and of generation, memory"],
  ],
  async run([models], flags: BenchFlags, { io, services, progress, json }) {
    const request = {
      ...engineRequest(flags, services),
      models: (models as readonly unknown[]).map(String),
      batch: flags.batch,
      ...present({ data: flags.data === undefined ? undefined : dataRequest(flags.data, flags), runs: flags.runs }),
    };
    const report = await services.bench(request, { progress, signal: io.signal });
    if (json) writeJson(io, report);
    else if (report.kind === "bench") printBench(io, report);
    else printBenchLanguage(io, report);
    return EXIT.done;
  },
};
