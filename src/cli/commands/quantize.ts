/** fewbit quantize: the main job. */

import type { GgmlRequest, KeepRule, QuantizeRequest } from "../../node/requests.ts";
import { fail } from "../../numeric/errors.ts";
import type { SeveralWeightsReport, WeightsQuantizeReport } from "../../pipeline/weights/index.ts";
import type { GroupSize } from "../../recipes/tune.ts";
import { type Command, type Context, EXIT, type OptionRow } from "../command.ts";
import { writeJson } from "../json.ts";
import { CONTEXT } from "../language-option.ts";
import {
  byteSize,
  dataRequest,
  decimal,
  ENDS,
  ENGINE,
  type EngineFlags,
  EVALUATION_OPTIONS,
  type EvaluationFlags,
  engineRequest,
  evaluationRequest,
  groupSize,
  htmlFile,
  integer,
  keepRules,
  MAX_DROP,
  names,
  optionalName,
  present,
  SAMPLE_OPTIONS,
  type TensorType,
  tensorTypes,
  threadCount,
} from "../option.ts";
import { printPlans } from "../print/plan.ts";
import { printQuantized } from "../print/quantized.ts";
import { printQuantizedWeights } from "../print/quantized-weights.ts";
import { printSeveralWeights } from "../print/several-weights.ts";
import { exitCode, quantizeJson } from "../quantized.ts";
import { writeReport, writeWeightsReport } from "../report-files.ts";
import { knownName } from "../suggest.ts";

interface QuantizeFlags extends Omit<EngineFlags, "threads">, EvaluationFlags {
  readonly threads?: number;
  readonly scheme?: readonly string[];
  readonly calibrate?: string;
  readonly output?: string;
  readonly recipe?: string;
  readonly keep?: readonly KeepRule[];
  readonly ends?: string;
  readonly maxDrop?: number;
  readonly force?: boolean;
  readonly activations?: "symmetric" | "asymmetric";
  readonly symmetric?: boolean;
  readonly asymmetric?: boolean;
  readonly groupSize?: GroupSize;
  readonly algorithm?: string;
  readonly observer?: string;
  readonly embeddings?: boolean;
  readonly reduceRange?: boolean;
  readonly io?: "float32" | "int8" | "uint8" | "int16";
  readonly batch?: number;
  readonly stats?: string;
  readonly imatrix?: string;
  readonly tensorType?: readonly TensorType[];
  readonly pure?: boolean;
  readonly requantize?: boolean;
  readonly targetBpw?: number;
  readonly targetSize?: number;
  readonly targetTypes?: readonly string[];
  readonly maxShardSize?: number;
  readonly sha256?: boolean;
  readonly context?: number;
  readonly dryRun?: boolean;
  /** false with --no-report. */
  readonly report?: string | false;
}

/** Activations grow with it; no accelerator takes more at a time. */
const MAX_BATCH = 65_536;

const OPTIONS: readonly OptionRow[] = [
  {
    flags: "-s, --scheme <names>",
    summary: "scheme, or several with commas between them: see fewbit schemes",
    parse: names,
  },
  {
    flags: "-c, --calibrate <data>",
    summary: "samples that show the range of values: .npy, .npz, a folder, or random",
  },
  { flags: "-o, --output <path>", summary: "file to write; a folder for several schemes; beside the model by default" },
  {
    flags: "--keep <rule>",
    summary: "leave nodes as they are: REGEX, op:NAME or node:NAME; repeatable",
    parse: keepRules,
  },
  ENDS,
  { flags: "--recipe <file>", summary: "ordered rules in JSON: which nodes get which scheme" },
  ...EVALUATION_OPTIONS,
  MAX_DROP,
  { flags: "--force", summary: "write even when --max-drop was not met" },
  { flags: "--dry-run", summary: "print what would become what, with sizes; write nothing" },
  { flags: "--activations <kind>", summary: "grid of the activations", choices: ["symmetric", "asymmetric"] },
  { flags: "--symmetric", summary: "weights without zero points", conflicts: "asymmetric" },
  { flags: "--asymmetric", summary: "weights with zero points" },
  {
    flags: "--group-size <n>",
    summary: "weights that share a scale: 16, 32, 64, 128, 256, or channel for all of an output channel",
    parse: groupSize,
  },
  { flags: "--algorithm <name>", summary: "how weights are rounded" },
  { flags: "--observer <name>", summary: "how ranges are chosen from what calibration saw" },
  { flags: "--embeddings", summary: "quantize embedding tables too" },
  { flags: "--reduce-range", summary: "weights of 7 bits, for CPUs without VNNI, where 8-bit products saturate" },
  {
    flags: "--io <type>",
    summary: "TFLite in integers: type of its inputs and outputs, float32 by default",
    choices: ["float32", "int8", "uint8", "int16"],
  },
  {
    flags: "--batch <n>",
    summary: "TFLite with an open batch: samples that the new model takes at a time; left open by default",
    parse: integer(1, MAX_BATCH),
  },
  { flags: "--imatrix <file>", summary: "GGUF: importance matrix of llama-imatrix, .gguf or .dat" },
  {
    flags: "--tensor-type <rule>",
    summary: "GGUF: REGEX=TYPE, the type of tensors whose names match; repeatable, the first that matches wins",
    parse: tensorTypes,
  },
  { flags: "--pure", summary: "GGUF: the same type for all tensors, as far as it fits" },
  { flags: "--requantize", summary: "GGUF: quantize what is quantized already, which costs accuracy twice" },
  {
    flags: "--target-bpw <bits>",
    summary: "GGUF: instead of a scheme, types by measured error so that tensors take so many bits for each weight",
    parse: decimal(1, 32),
    conflicts: "targetSize",
  },
  {
    flags: "--target-size <size>",
    summary: "GGUF: the same for the size of the whole file: 4.2GB, 900MB, 3GiB",
    parse: byteSize,
  },
  {
    flags: "--target-types <names>",
    summary: "GGUF: the types that a target chooses from, with commas: q4_k,q5_k,q6_k",
    parse: names,
  },
  {
    flags: "--max-shard-size <size>",
    summary: "GGUF, safetensors: most bytes of one file; larger models become several. 5GB for safetensors",
    parse: byteSize,
  },
  { flags: "--sha256", summary: "GGUF: SHA-256 of the new files in the report" },
  CONTEXT,
  {
    flags: "--stats <file>",
    summary: "read calibration statistics, or what was measured for a target, from this file, or save them there",
  },
  ...SAMPLE_OPTIONS,
  ENGINE,
  {
    flags: "--threads <n>",
    summary:
      "threads inside one operator, 1 by default; GGUF and safetensors: threads that encode, one for each core by default, 16 at most",
    parse: threadCount,
  },
  { flags: "--report <file.html>", summary: "where the report goes; beside the output by default", parse: htmlFile },
  { flags: "--no-report", summary: "write no report" },
];

/** What was asked of GGUF alone; undefined where nothing was. */
function ggmlRequest(flags: QuantizeFlags): GgmlRequest | undefined {
  const { imatrix, tensorType, pure, requantize, context, targetBpw, targetSize, targetTypes, maxShardSize, sha256 } =
    flags;
  const size = targetSize === undefined ? undefined : { bytes: targetSize };
  const target = targetBpw === undefined ? size : { bitsPerWeight: targetBpw };
  const seed = target === undefined ? undefined : flags.seed;
  const asked = present({
    ...{ imatrix, tensorTypes: tensorType, pure, requantize, context, target, types: targetTypes, seed },
    ...{ maxShardBytes: maxShardSize, sha256 },
  });
  return Object.keys(asked).length === 0 ? undefined : asked;
}

function request(model: string, flags: QuantizeFlags, { services, command }: Context): QuantizeRequest {
  const { names: known } = services;
  const optional = present({
    calibration: flags.calibrate === undefined ? undefined : dataRequest(flags.calibrate, flags),
    evaluation: evaluationRequest(flags, services),
    weights: flags.symmetric ? ("symmetric" as const) : flags.asymmetric ? ("asymmetric" as const) : undefined,
    algorithm: optionalName("algorithm", flags.algorithm, known.algorithms),
    // "percentile-99.9" and its like are names too, so the table of observers is the judge
    observer: flags.observer,
    recipe: flags.recipe,
    ends: optionalName("scheme", flags.ends, known.schemes),
    output: flags.output,
    maxDrop: flags.maxDrop,
    activations: flags.activations,
    groupSize: flags.groupSize,
    stats: flags.stats,
    reduceRange: flags.reduceRange,
    ggml: ggmlRequest(flags),
    encoders: flags.threads,
    io: flags.io,
    batch: flags.batch,
  });
  return {
    ...engineRequest({ ...flags, threads: flags.threads ?? 1 }, services),
    ...optional,
    model,
    command,
    schemes: (flags.scheme ?? []).map((name) => knownName("scheme", name, known.schemes)),
    keep: flags.keep ?? [],
    force: flags.force ?? false,
    embeddings: flags.embeddings ?? false,
  };
}

type WeightsReports = WeightsQuantizeReport | SeveralWeightsReport;

const missed = ({ run }: WeightsQuantizeReport): boolean => run?.contract?.met === false;

/** The page of each file that was written lies beside it; one that was asked for by name takes one scheme. */
async function weightsResult(report: WeightsReports, wish: string | false | undefined, context: Context) {
  const { io, json, services } = context;
  if (report.kind === "quantize-weights") {
    const page = await writeWeightsReport(report, wish, services);
    if (json) writeJson(io, { ...report, ...(page !== undefined && { report: page }) });
    else printQuantizedWeights(io, report, page);
    return missed(report) ? EXIT.contract : EXIT.done;
  }
  if (typeof wish === "string")
    fail("usage", "--report names one page, and several schemes have one each; leave it out, or name one scheme");
  for (const own of report.candidates) await writeWeightsReport(own, wish, services);
  if (json) writeJson(io, report);
  else printSeveralWeights(io, report);
  return report.candidates.every(missed) ? EXIT.contract : EXIT.done;
}

async function dryRun(wish: QuantizeRequest, context: Context): Promise<number> {
  const plans = await context.services.plan(wish, { progress: context.progress, signal: context.io.signal });
  if ("kind" in plans) return weightsResult(plans, false, context);
  if (context.json) writeJson(context.io, plans);
  else printPlans(context.io, plans);
  return EXIT.done;
}

export const quantize: Command = {
  name: "quantize",
  summary: "make a model smaller and faster, and measure what that cost",
  arguments: [
    {
      name: "<model>",
      summary: "ONNX, TFLite or GGUF file, the folder of a transformers.js model, or one of safetensors",
    },
  ],
  options: OPTIONS,
  examples: [
    ["quantize model.onnx -s w4", "4 bit weights; no data needed"],
    ["quantize model.onnx -s w8a8 -c samples.npz", "8 bit integers throughout; ranges come from your samples"],
    [
      "quantize model.onnx -s w8a8 -c train.npy --data test.npy --labels labels.npy --max-drop 1",
      "write it only if it loses at most one point of accuracy",
    ],
    ["quantize model.onnx -s w8a8,w8,w4 -c samples.npy -o out", "several at once, and a report that compares them"],
    ["quantize model.tflite -s w8a8 -c samples.npy --io int8", "full integer TFLite, as accelerators want it"],
    ["quantize ./my-model -s q8,q4,q4f16", "a transformers.js folder: files in onnx/ under the names it expects"],
    ["quantize model.gguf -s q4_k_m", "the file that llama-quantize writes: model.q4_k_m.gguf"],
    ["quantize ./llama -s q4_k_m", "the same from a folder of safetensors, beside it: llama.q4_k_m.gguf"],
    [
      "quantize model.gguf --target-size 4.2GB --imatrix imatrix.gguf",
      "the best file of that size: types by measured error",
    ],
    ["quantize ./llama -s w4 -o llama-w4", "a folder of safetensors, as vLLM and transformers load it"],
    [
      "quantize model.gguf -s q4_k_m --data text.txt --max-drop 2",
      "write it only if perplexity on the text rises by at most 2 percent",
    ],
    ["quantize model.onnx -s w8a8 --keep op:Softmax --keep '^head' --dry-run", "only show what would happen"],
  ],
  details:
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the accuracy allowed by --max-drop was not kept and nothing was written.",
  async run([model], flags: QuantizeFlags, context) {
    const wish = request(String(model), flags, context);
    if (flags.dryRun) return dryRun(wish, context);
    const report = await context.services.quantize(wish, { progress: context.progress, signal: context.io.signal });
    if (report.kind !== "quantize") return weightsResult(report, flags.report, context);
    const page = await writeReport(report, flags.report, context.services);
    if (context.json) writeJson(context.io, quantizeJson(report, page));
    else printQuantized(context.io, report, page);
    return exitCode(report);
  },
};
