/** fewbit convert of a model folder of Hugging Face's to GGUF: what is written, and what is to be said of it. */
import type { TensorFile } from "../ir/tensor-file.ts";
import type { ConvertedModel } from "../lowering/gguf/convert.ts";
import { inspectWeights } from "./inspect-weights.ts";
import type { LanguageRun } from "./language/index.ts";
import type { Finding, OutputFile, Ratio, WeightsReport } from "./result.ts";

export { type ConvertedModel, type ConvertOptions as ToGgufOptions, toGguf } from "../lowering/gguf/convert.ts";
export { FOLDER_FILES, type FolderFiles, MAX_TEMPLATES, TEMPLATE_FOLDER } from "../lowering/gguf/folder.ts";

/** The tokenizer of a GGUF file. */
export interface TokenizerSummary {
  /** "llama" for SentencePiece, "gpt2" for byte pairs. */
  readonly model: string;
  /** How texts are cut before tokens are looked for. */
  readonly pre: string;
  readonly tokens: number;
}

/** What the file holds. */
type Held = Pick<WeightsReport, "architecture" | "tensors" | "parameters" | "weights" | "metadata">;

/** Everything `fewbit convert` found out about a model folder. */
export interface ConvertFolderReport extends Held {
  readonly kind: "convert-folder";
  readonly model: WeightsReport["model"];
  /** What matrices are stored as. */
  readonly type: ConvertedModel["type"];
  readonly tokenizer: TokenizerSummary;
  /** Absent in a dry run. */
  readonly output?: string;
  /** Absent where the file was not run. */
  readonly run?: LanguageRun;
  readonly files: readonly OutputFile[];
  /** Bytes of the files. */
  readonly size: Ratio;
  readonly findings: readonly Finding[];
  readonly seconds: number;
}

function tokenizerOf({ metadata }: TensorFile): TokenizerSummary {
  const textOf = (key: string): string => String(metadata.get(`tokenizer.ggml.${key}`)?.value ?? "");
  const tokens = metadata.get("tokenizer.ggml.tokens");
  return { model: textOf("model"), pre: textOf("pre"), tokens: tokens?.type === "array" ? tokens.value.length : 0 };
}

/** What is to be said of a converted model, whether it is written or not. */
export function describeConverted({ file, type, notes }: ConvertedModel) {
  const { architecture, tensors, parameters, weights, metadata } = inspectWeights(file);
  const told = notes.map((message): Finding => ({ severity: "info", code: "left-out", message }));
  return {
    ...(architecture !== undefined && { architecture }),
    ...{ tensors, parameters, weights, metadata, type, tokenizer: tokenizerOf(file) },
    findings: told,
  };
}
