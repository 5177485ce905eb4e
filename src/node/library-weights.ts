/** The command `quantize` for GGUF files as functions for programs. */
import { type Hooks, noHooks } from "../pipeline/progress.ts";
import type { SizeTarget, WeightsQuantizeReport } from "../pipeline/weights/index.ts";
import { planWeightsFiles, quantizeWeightsFiles } from "./quantize-weights-several.ts";
import type { GgmlRequest, QuantizeRequest } from "./requests.ts";

/** What `quantizeWeights` and `planWeights` are asked: a GGUF file, and a scheme or a target size. */
export interface QuantizeWeightsFileOptions extends Omit<GgmlRequest, "target"> {
  readonly model: string;
  /** A file type: "q4_k_m". */
  readonly scheme?: string;
  /** In place of a scheme: types by measured error, so that the file takes no more. */
  readonly target?: SizeTarget;
  /** Tensors whose names match stay as they are. */
  readonly keep?: readonly RegExp[];
  /** A file that ends in .gguf, or a folder; beside the model by default. */
  readonly output?: string;
  /** Threads that encode, this one among them; one for each core by default, 16 at most. */
  readonly threads?: number;
  /** Keeps the errors measured for a target, so that they are measured once. */
  readonly stats?: string;
  /** A text file to compare original and result on, where an engine for GGUF is installed. */
  readonly text?: string;
  /** Percent that the perplexity on `text` may rise; a file that loses more is not written. */
  readonly maxDrop?: number;
}

function requestOf(options: QuantizeWeightsFileOptions): QuantizeRequest {
  const { model, scheme, keep = [], output, stats, threads, text, maxDrop, ...ggml } = options;
  return {
    ...{ model, schemes: scheme === undefined ? [] : [scheme], ggml },
    ...{ force: false, embeddings: false, threads: 1, command: "quantizeWeights()" },
    keep: keep.map((pattern) => ({ kind: "regex", pattern })),
    ...(threads !== undefined && { encoders: threads }),
    ...(output !== undefined && { output }),
    ...(stats !== undefined && { stats }),
    ...(text !== undefined && { evaluation: { metrics: [], data: { path: text, seed: 0 } } }),
    ...(maxDrop !== undefined && { maxDrop }),
  };
}

const asHooks = (hooks: Partial<Hooks>): Hooks => ({ ...noHooks, ...hooks });

/** Quantizes a GGUF file to a new file, or several where `maxShardBytes` says so, and reports on every tensor. */
export const quantizeWeights = async (
  options: QuantizeWeightsFileOptions,
  hooks: Partial<Hooks> = {},
): Promise<WeightsQuantizeReport> =>
  // of one scheme, so one report
  (await quantizeWeightsFiles(requestOf(options), asHooks(hooks))) as WeightsQuantizeReport;

/** What `quantizeWeights` would do with the same options: the type of every tensor and the exact size; nothing is written. */
export const planWeights = async (
  options: QuantizeWeightsFileOptions,
  hooks: Partial<Hooks> = {},
): Promise<WeightsQuantizeReport> =>
  (await planWeightsFiles(requestOf(options), asHooks(hooks))) as WeightsQuantizeReport;
