/** fewbit compare: two models on the same samples. */
import { fail } from "../../numeric/errors.ts";
import type { LanguageCompareReport } from "../../pipeline/language/index.ts";
import { type Command, type Context, EXIT, type OptionRow } from "../command.ts";
import { writeJson } from "../json.ts";
import { CONTEXT } from "../language-option.ts";
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
import { printComparedLanguage } from "../print/language.ts";
import { printCompared } from "../print/quantized.ts";
import { compareJson, exitCode } from "../quantized.ts";

interface CompareFlags extends EngineFlags, EvaluationFlags {
  readonly maxDrop?: number;
  readonly layers?: boolean;
  readonly candidateEngine?: string;
  readonly context?: number;
}

const OPTIONS: readonly OptionRow[] = [
  ...EVALUATION_OPTIONS,
  MAX_DROP,
  { flags: "--layers", summary: "also compare every inner value that both models have under one name" },
  { flags: "--candidate-engine <name>", summary: "run the candidate on another engine than the reference" },
  CONTEXT,
  ...SAMPLE_OPTIONS,
  ...ENGINE_OPTIONS,
];

function languageResult(report: LanguageCompareReport, { io, json }: Context): number {
  if (json) writeJson(io, report);
  else printComparedLanguage(io, report);
  return report.run.contract?.met === false ? EXIT.contract : EXIT.done;
}

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
    [
      "compare model.gguf small.gguf --data text.txt",
      "GGUF: perplexity, distance of the probabilities, tokens per second",
    ],
    ["compare model.onnx small.onnx --data test.npy --max-drop 1 --json", "a gate for continuous integration"],
  ],
  async run([reference, candidate], flags: CompareFlags, context) {
    const { io, services, progress, json, command } = context;
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
        context: flags.context,
        candidateEngine: optionalName("engine", flags.candidateEngine, services.names.engines),
      }),
    };
    const report = await services.compare(request, { progress, signal: io.signal });
    if (report.kind === "compare-language") return languageResult(report, context);
    if (json) writeJson(io, compareJson(report));
    else printCompared(io, report);
    return exitCode({ candidates: [report.candidate] });
  },
};
