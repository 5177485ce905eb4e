/** fewbit compare: two models on the same samples. */
import { fail } from "../../numeric/errors.ts";
import type { Command, OptionRow } from "../command.ts";
import { writeJson } from "../json.ts";
import {
  ENGINE_OPTIONS,
  type EngineFlags,
  EVALUATION_OPTIONS,
  type EvaluationFlags,
  engineRequest,
  evaluationRequest,
  MAX_DROP,
  optionalName,
  present,
  SAMPLE_OPTIONS,
} from "../option.ts";
import { printCompared } from "../print/quantized.ts";
import { compareJson, exitCode } from "../quantized.ts";

interface CompareFlags extends EngineFlags, EvaluationFlags {
  readonly maxDrop?: number;
  readonly layers?: boolean;
  readonly candidateEngine?: string;
}

const OPTIONS: readonly OptionRow[] = [
  ...EVALUATION_OPTIONS,
  MAX_DROP,
  { flags: "--layers", summary: "also compare every inner value that both models have under one name" },
  { flags: "--candidate-engine <name>", summary: "run the candidate on another engine than the reference" },
  ...SAMPLE_OPTIONS,
  ...ENGINE_OPTIONS,
];

export const compare: Command = {
  name: "compare",
  summary: "run two models on the same samples: outputs, accuracy, size, speed and memory",
  arguments: [
    { name: "<reference>", summary: "the original" },
    { name: "<candidate>", summary: "the model to judge" },
  ],
  options: OPTIONS,
  examples: [
    ["compare model.onnx small.onnx --data test.npy", "how far the outputs are apart"],
    ["compare model.onnx small.onnx --data test.npy --labels labels.npy --metric top1,top5", "accuracy of both"],
    ["compare model.onnx small.onnx --data images/ --image size=224,layout=nchw", "a folder of images"],
    ["compare model.tflite int8.tflite --data test.npy --layers", "where the error comes from, layer by layer"],
    [
      "compare int8.tflite int8.tflite --data test.npy --layers --candidate-engine reference",
      "the runtime against the integer reference: every layer equal",
    ],
    ["compare model.onnx small.onnx --data test.npy --max-drop 1 --json", "a gate for continuous integration"],
  ],
  async run([reference, candidate], flags: CompareFlags, { io, services, progress, json, command }) {
    const evaluation =
      evaluationRequest(flags, services) ??
      fail("usage", "compare needs samples; name them with --data, or your own metric with --eval");
    const request = {
      ...engineRequest(flags, services),
      reference: String(reference),
      candidate: String(candidate),
      evaluation,
      command,
      ...present({
        maxDrop: flags.maxDrop,
        layers: flags.layers,
        candidateEngine: optionalName("engine", flags.candidateEngine, services.names.engines),
      }),
    };
    const report = await services.compare(request, { progress, signal: io.signal });
    if (json) writeJson(io, compareJson(report));
    else printCompared(io, report);
    return exitCode({ candidates: [report.candidate] });
  },
};
