/**
 * Requests: what a person asks for, by file names. The command line fills them from its options, checked for form only:
 * names exist, numbers are in range. Paths are as typed, relative to the current folder.
 */

import type { InputOutput } from "../ir/plan.ts";
import type { SizeTarget } from "../pipeline/weights/index.ts";
import type { GroupSize } from "../recipes/tune.ts";
import type { TrainMode } from "./train-mode-names.ts";

/** How images of a folder become the model's input: `--image size=224,layout=nchw,mean=..,std=..`. */
export interface ImageOptions {
  /** [height, width] in pixels. */
  readonly size?: readonly [number, number];
  readonly layout?: "nchw" | "nhwc";
  /** Per channel, in units of 0 to 1 after division by 255; one number stands for all channels. */
  readonly mean?: readonly number[];
  readonly std?: readonly number[];
}

/** DATA: a `.npy`, a `.npz`, a folder of `.npy` or of images, or the word "random". */
export interface DataRequest {
  readonly path: string;
  readonly image?: ImageOptions;
  /** Use at most this many samples. */
  readonly samples?: number;
  /** For `random`, and for choosing samples. */
  readonly seed: number;
}

/** What to measure on: `--data`, `--labels`, `--metric`, `--eval`. */
export interface EvaluationRequest {
  readonly data?: DataRequest;
  readonly labels?: string;
  /** Names of metrics; empty = what fits the data. */
  readonly metrics: readonly string[];
  /** Module with `export default async ({run, model}) => number`. */
  readonly script?: string;
}

/** A node stays as it is when its name matches, its op is this, or its name is exactly this. */
export type KeepRule =
  | { readonly kind: "regex"; readonly pattern: RegExp }
  | { readonly kind: "op"; readonly name: string }
  | { readonly kind: "node"; readonly name: string };

/** Which engine runs the models. */
export interface EngineRequest {
  /** The best one present by default. */
  readonly engine?: string;
  readonly threads: number;
}

/** What only GGUF models are asked. */
export interface GgmlRequest {
  /** File of an importance matrix. */
  readonly imatrix?: string;
  /** Types of tensors whose names match; the first that matches wins. */
  readonly tensorTypes?: readonly { readonly pattern: RegExp; readonly type: string }[];
  /** All tensors the type of the scheme, as far as it fits. */
  readonly pure?: boolean;
  /** Quantize what is quantized already. */
  readonly requantize?: boolean;
  /** Types chosen by measured errors so that the file takes no more; in place of schemes. */
  readonly target?: SizeTarget;
  /** Names of the types that a target chooses from. */
  readonly types?: readonly string[];
  /** Which rows are measured for a target. */
  readonly seed?: number;
  /** Most bytes of one file; larger models become several. */
  readonly maxShardBytes?: number;
  /** SHA-256 of the new files in the report. */
  readonly sha256?: boolean;
  /** Tokens of a window of the text that the models are run on. */
  readonly context?: number;
}

/** `fewbit quantize`. */
export interface QuantizeRequest extends EngineRequest {
  /** A model file, a transformers.js model folder, or a Hugging Face folder of safetensors. */
  readonly model: string;
  /** Empty = the service chooses one that fits the model and the data given. */
  readonly schemes: readonly string[];
  readonly calibration?: DataRequest;
  readonly evaluation?: EvaluationRequest;
  readonly recipe?: string;
  readonly keep: readonly KeepRule[];
  /** Scheme of the first and the last layer; rules and `keep` win over it. */
  readonly ends?: string;
  /** File for one scheme, folder for several; absent = beside the model. */
  readonly output?: string;
  /** In percent points. */
  readonly maxDrop?: number;
  /** Write although the contract was not met. */
  readonly force: boolean;
  readonly activations?: "symmetric" | "asymmetric";
  readonly weights?: "symmetric" | "asymmetric";
  readonly groupSize?: GroupSize;
  readonly algorithm?: string;
  readonly observer?: string;
  readonly embeddings: boolean;
  /** Leave one bit of int8 weights unused, for CPUs whose 8-bit products saturate. */
  readonly reduceRange?: boolean;
  /** Type of a TFLite model's inputs and outputs when it computes in integers; float32 unless told. */
  readonly io?: InputOutput;
  /** Samples that a TFLite model with an open batch takes at a time from now on; left open unless told. */
  readonly batch?: number;
  readonly ggml?: GgmlRequest;
  /** Threads that encode GGUF or safetensors; one for each core by default, 16 at most. */
  readonly encoders?: number;
  /** Read calibration statistics, or the errors measured for a target size, from this file when it exists, else write them there. */
  readonly stats?: string;
  /** The command line for the report, without absolute paths. */
  readonly command: string;
}

/** `fewbit compare`. */
export interface CompareRequest extends EngineRequest {
  readonly reference: string;
  readonly candidate: string;
  readonly evaluation: EvaluationRequest;
  readonly maxDrop?: number;
  /** Tokens of a window, of GGUF models. */
  readonly context?: number;
  /** Compare every inner value that both models have under one name. */
  readonly layers?: boolean;
  /** Engine of the candidate, where it is another than the reference's. */
  readonly candidateEngine?: string;
  readonly command: string;
}

/** `fewbit convert`. */
export interface ConvertRequest extends EngineRequest {
  readonly model: string;
  readonly output: string;
  /** Samples that both models are run on; a few made-up ones otherwise. */
  readonly data?: DataRequest;
  readonly command: string;
}

/** `fewbit convert` of a model folder to GGUF. */
export interface ConvertFolderRequest {
  /** A folder of safetensors with config.json and the tokenizer's files, or the weights in it. */
  readonly model: string;
  /** Ends in .gguf. */
  readonly output: string;
  /** What matrices are stored as: f32, f16, bf16, q8_0, or auto, 16 bits of the kind they are in. */
  readonly type: "f32" | "f16" | "bf16" | "q8_0" | "auto";
  /** llama.cpp's name of how the tokenizer cuts texts, where tokenizer.json does not tell. */
  readonly pre?: string;
  /** Only say what would be written. */
  readonly dryRun?: boolean;
  /** A text file that the new model reads, or "random"; a built-in text otherwise. */
  readonly data?: DataRequest;
  /** Of the engine that runs the file; 1 by default. */
  readonly threads?: number;
}

/** `fewbit bench`. */
export interface BenchRequest extends EngineRequest {
  readonly models: readonly string[];
  /** Inputs to run; zeros of the declared shapes otherwise. */
  readonly data?: DataRequest;
  readonly batch: number;
  /** Timed runs of each model; enough for a steady median by default. */
  readonly runs?: number;
}

/** `fewbit train`. */
export interface TrainRequest extends EngineRequest {
  readonly model: string;
  /** "float": the model keeps its form; "qat": trained for the grids of a scheme; "low-precision": trained in integers. */
  readonly mode: TrainMode;
  readonly data: DataRequest;
  /** Class numbers, or for the loss "mse" a `.npy` of values; without them the model itself is the teacher. */
  readonly labels?: string;
  /** What the model becomes; not for "float". */
  readonly scheme?: string;
  readonly epochs: number;
  readonly batch: number;
  /** Highest learning rate; what suits the mode by default. */
  readonly rate?: number;
  readonly optimizer: string;
  readonly schedule: "constant" | "cosine" | "linear";
  /** Share of the steps in which the rate rises. */
  readonly warmup: number;
  readonly loss?: "cross-entropy" | "mse" | "distillation";
  /** Share of a label that is spread over all classes. */
  readonly smoothing: number;
  /** Weight of the original's answers beside labels, 0 to 1. */
  readonly distill: number;
  /** "flip", "shift:4", "warp:0.2". */
  readonly augment: readonly string[];
  /** Draws of `augment` for each sample whose mean answer the original gives; 1 for the sample as the model sees it. */
  readonly views: number;
  readonly decay: number;
  /** Largest Euclidean norm of all gradients together. */
  readonly clip?: number;
  /** Parameters whose names match stay as they are; only in floats. */
  readonly freeze?: RegExp;
  /** Share of the epochs in which each block learns alone to give the original's values; only quantization-aware. */
  readonly blockwise: number;
  /** Weight of the loss at the ends of blocks beside that at the output, 0 for none; only quantization-aware. */
  readonly features: number;
  /** Pull of weights to the middle of their bins, 0 for none; by default what suits the scheme; only quantization-aware. */
  readonly dampening?: number;
  /** Weights begin as floats and become codes as the rate falls; only quantization-aware. */
  readonly gradual: boolean;
  /** File with rules, as for `quantize`; only quantization-aware. */
  readonly recipe?: string;
  readonly keep: readonly KeepRule[];
  /** Scheme of the first and the last layer; rules and `keep` win over it. */
  readonly ends?: string;
  readonly checkpoint?: {
    readonly path: string;
    /** Seconds between two savings. */
    readonly seconds: number;
    /** Go on from the file where it exists. */
    readonly resume: boolean;
  };
  readonly evaluation?: EvaluationRequest;
  readonly output?: string;
  readonly command: string;
}

export type { TrainMode };

/** `fewbit demo`. */
export interface DemoRequest extends EngineRequest {
  /** Folder for models and report. */
  readonly output: string;
  readonly command: string;
}
