/** fewbit train: a model learns from samples, in floats or for the grids of a scheme. */
import type { KeepRule, TrainMode, TrainRequest } from "../../node/requests.ts";
import { fail } from "../../numeric/errors.ts";
import type { Command, Context, OptionRow } from "../command.ts";
import { writeJson } from "../json.ts";
import {
  dataRequest,
  decimal,
  ENDS,
  ENGINE_OPTIONS,
  type EngineFlags,
  engineRequest,
  evaluationRequest,
  htmlFile,
  integer,
  keepRules,
  names,
  optionalName,
  present,
  regex,
  SAMPLE_OPTIONS,
  type SampleFlags,
} from "../option.ts";
import { printQuantized } from "../print/quantized.ts";
import { exitCode, quantizeJson } from "../quantized.ts";
import { writeReport } from "../report-files.ts";
import { knownName } from "../suggest.ts";

interface TrainFlags extends EngineFlags, SampleFlags {
  readonly data?: string;
  readonly labels?: string;
  readonly scheme?: string;
  readonly mode?: string;
  readonly output?: string;
  readonly epochs: number;
  readonly batch: number;
  readonly rate?: number;
  readonly optimizer: string;
  readonly schedule: TrainRequest["schedule"];
  readonly warmup: number;
  readonly loss?: NonNullable<TrainRequest["loss"]>;
  readonly smoothing: number;
  readonly distill?: number | true;
  readonly augment?: readonly string[];
  readonly views: number;
  readonly decay: number;
  readonly clip?: number;
  readonly freeze?: RegExp;
  readonly blockwise: number;
  readonly features: number;
  readonly dampening?: number;
  readonly gradual?: boolean;
  readonly recipe?: string;
  readonly keep?: readonly KeepRule[];
  readonly ends?: string;
  readonly checkpoint?: string;
  readonly saveEvery: number;
  readonly resume?: boolean;
  readonly evalData?: string;
  readonly evalLabels?: string;
  readonly metric?: readonly string[];
  readonly report?: string | false;
}

/** Half the labels' word, half the original's: what `--distill` means without a number. */
const HALF = 0.5;
/** Above it the rest of the loss is lost in the roundings of float32. */
const MAX_WEIGHT = 1e6;
const MAX_EPOCHS = 1e6;
const MAX_BATCH = 1e6;
const MAX_VIEWS = 1000;
/** A week. */
const MAX_SECONDS = 604_800;

const OPTIONS: readonly OptionRow[] = [
  { flags: "--data <data>", summary: "samples to learn from: .npy, .npz or a folder" },
  {
    flags: "--labels <file>",
    summary: "right answers for --data: class numbers as .npy, .csv, .json or folders; values as .npy for --loss mse",
  },
  { flags: "-s, --scheme <name>", summary: "what the model becomes; see fewbit schemes" },
  { flags: "--mode <name>", summary: "float, qat or low-precision; qat where a scheme is named, else float" },
  {
    flags: "-o, --output <file>",
    summary: "file to write; beside the model by default, in its container (a .tflite can also become .onnx)",
  },
  { flags: "--epochs <n>", summary: "times every sample is seen", parse: integer(1, MAX_EPOCHS), otherwise: 5 },
  { flags: "--batch <n>", summary: "samples a step", parse: integer(1, MAX_BATCH), otherwise: 32 },
  {
    flags: "--rate <number>",
    summary: "highest learning rate; what suits the mode by default",
    parse: decimal(0, 1e6),
  },
  { flags: "--optimizer <name>", summary: "adam, adamw or sgd (with momentum 0.9)", otherwise: "adam" },
  {
    flags: "--schedule <kind>",
    summary: "how the rate goes over the run",
    choices: ["constant", "cosine", "linear"],
    otherwise: "cosine",
  },
  {
    flags: "--warmup <share>",
    summary: "share of the steps in which the rate rises",
    parse: decimal(0, 1),
    otherwise: 0.05,
  },
  {
    flags: "--loss <kind>",
    summary: "what is made small; cross-entropy where labels are given, else distillation",
    choices: ["cross-entropy", "mse", "distillation"],
  },
  {
    flags: "--smoothing <share>",
    summary: "share of a label that is spread over all classes",
    parse: decimal(0, 0.99),
    otherwise: 0,
  },
  {
    flags: "--distill [weight]",
    summary: "learn from the original's answers too, beside labels with this weight; 0.5 without a number",
    parse: decimal(0, 1),
  },
  {
    flags: "--augment <names>",
    summary:
      "change samples at every step: flip, shift[:PIXELS], cutout[:PIXELS], warp[:SHARE], color[:SHARE], without labels mixup[:SHARE]",
    parse: names,
  },
  {
    flags: "--views <n>",
    summary: "learn the mean of the original's answers for so many draws of --augment of each sample",
    parse: integer(1, MAX_VIEWS),
    otherwise: 1,
  },
  { flags: "--decay <number>", summary: "weight decay", parse: decimal(0, 1e3), otherwise: 0 },
  { flags: "--clip <norm>", summary: "largest norm of all gradients together", parse: decimal(0, 1e9) },
  { flags: "--freeze <regex>", summary: "weights whose names match stay as they are (float)", parse: regex },
  {
    flags: "--blockwise <share>",
    summary: "share of the epochs in which each block learns alone to give the original's values (qat)",
    parse: decimal(0, 1),
    otherwise: 0,
  },
  {
    flags: "--features <weight>",
    summary: "learn the original's values at the ends of blocks too, beside its answers with this weight (qat)",
    parse: decimal(0, MAX_WEIGHT),
    otherwise: 0,
  },
  {
    flags: "--dampening <strength>",
    summary: "pull that keeps weights from going back and forth between two codes (qat); 0.001 for 2 bits and less",
    parse: decimal(0, 1),
  },
  { flags: "--gradual", summary: "weights begin as floats and become codes as the rate falls; for 2 bits (qat)" },
  { flags: "--recipe <file>", summary: "ordered rules in JSON: which nodes get another scheme (qat)" },
  {
    flags: "--keep <rule>",
    summary: "leave nodes unquantized: REGEX, op:NAME or node:NAME; repeatable",
    parse: keepRules,
  },
  ENDS,
  { flags: "--checkpoint <file>", summary: "save where training stands to this file" },
  {
    flags: "--save-every <seconds>",
    summary: "time between two savings",
    parse: decimal(0, MAX_SECONDS),
    otherwise: 60,
  },
  { flags: "--resume", summary: "go on from --checkpoint; same result as if it had never stopped" },
  { flags: "--eval-data <data>", summary: "samples the model has not seen, to measure on" },
  { flags: "--eval-labels <file>", summary: "right answers for --eval-data" },
  { flags: "--metric <names>", summary: "what to measure: top1, top5, agreement, mse, cosine", parse: names },
  ...SAMPLE_OPTIONS,
  ...ENGINE_OPTIONS,
  { flags: "--report <file.html>", summary: "where the report goes; beside the output by default", parse: htmlFile },
  { flags: "--no-report", summary: "write no report" },
];

function checkpointOf({ checkpoint, saveEvery, resume = false }: TrainFlags): TrainRequest["checkpoint"] {
  if (checkpoint !== undefined) return { path: checkpoint, seconds: saveEvery, resume };
  return resume ? fail("usage", "--resume needs the file to go on from; name it with --checkpoint") : undefined;
}

function evaluationOf(flags: TrainFlags, { services }: Context): TrainRequest["evaluation"] {
  const { evalData: data, evalLabels: labels, metric } = flags;
  if (labels !== undefined && data === undefined)
    fail("usage", "--eval-labels needs samples; name them with --eval-data");
  const { image, samples: _, ...rest } = flags;
  if (data === undefined)
    return metric && { metrics: metric.map((name) => knownName("metric", name, services.names.metrics)) };
  return evaluationRequest({ ...{ seed: rest.seed, data }, ...present({ image, labels, metric }) }, services);
}

function request(model: string, flags: TrainFlags, context: Context): TrainRequest {
  const { services, command } = context;
  const { names: known } = services;
  const data = flags.data ?? fail("usage", "training needs samples to learn from; name them with --data");
  const scheme = flags.scheme === undefined ? undefined : knownName("scheme", flags.scheme, known.schemes);
  const mode = knownName("mode", flags.mode ?? (scheme === undefined ? "float" : "qat"), known.modes) as TrainMode;
  const { epochs, batch, schedule, warmup, smoothing, views, decay, blockwise, features } = flags;
  const optional = present({
    ...{ labels: flags.labels, rate: flags.rate, loss: flags.loss, clip: flags.clip, freeze: flags.freeze },
    ends: optionalName("scheme", flags.ends, known.schemes),
    ...{ dampening: flags.dampening, recipe: flags.recipe },
    ...{ output: flags.output, scheme, checkpoint: checkpointOf(flags), evaluation: evaluationOf(flags, context) },
  });
  return {
    ...engineRequest(flags, services),
    ...optional,
    ...{ model, command, mode, epochs, batch, schedule, warmup, smoothing, views, decay, blockwise, features },
    data: dataRequest(data, flags),
    optimizer: knownName("optimizer", flags.optimizer, known.optimizers),
    distill: flags.distill === true ? HALF : (flags.distill ?? 0),
    augment: flags.augment ?? [],
    gradual: flags.gradual ?? false,
    keep: flags.keep ?? [],
  };
}

export const train: Command = {
  name: "train",
  summary: "train a model for a scheme, or fine-tune it in floats, and measure what that gained",
  arguments: [{ name: "<model>", summary: "ONNX or TFLite file with float32 weights" }],
  options: OPTIONS,
  examples: [
    ["train model.onnx --data train.npy -s w4a4", "weights and grids of 4 bits, taught by the model itself; no labels"],
    [
      "train model.onnx --data train.npy --labels train-labels.npy -s w2a8 --distill --eval-data test.npy --eval-labels test-labels.npy",
      "learn from labels and from the original, measured on samples it has not seen",
    ],
    [
      "train model.onnx --data train.npy --labels train-labels.npy --epochs 20 --augment flip,shift:2",
      "fine-tune in floats, with other images at every step",
    ],
    [
      "train model.onnx --data train.npy --labels train-labels.npy --distill 0.7 --views 6 --augment flip,shift:2 -o tuned.onnx",
      "in floats, towards labels and its own mean answer for six views of each image; train the result for few bits then",
    ],
    [
      "train model.tflite --data train.npy -s w4a8 -o small.tflite",
      "a TFLite model with int4 weights that were trained for them; it learns in ONNX and comes back as TFLite",
    ],
    [
      "train model.onnx --data train.npy -s w4a4 --checkpoint run.ckpt --resume",
      "a run that can be stopped at any moment and goes on where it was",
    ],
  ],
  details:
    "Ctrl-C ends a run in order: with --checkpoint it can be resumed. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.",
  async run([model], flags: TrainFlags, context) {
    const { io, services, progress, json } = context;
    const report = await services.train(request(String(model), flags, context), { progress, signal: io.signal });
    const page = await writeReport(report, flags.report, services);
    if (json) writeJson(io, quantizeJson(report, page));
    else printQuantized(io, report, page);
    return exitCode(report);
  },
};
