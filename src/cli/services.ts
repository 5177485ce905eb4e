/**
 * What the commands ask of the rest of the program: one function per command, and the little they need around it.
 * Handed in, so that the commands can be tested without engines and files.
 */
import type {
  BenchRequest,
  CompareRequest,
  ConvertFolderRequest,
  ConvertRequest,
  DemoRequest,
  QuantizeRequest,
  TrainRequest,
} from "../node/requests.ts";
import type { ConvertFolderReport } from "../pipeline/convert-folder.ts";
import type { LanguageBenchReport, LanguageCompareReport } from "../pipeline/language/index.ts";
import type { Hooks } from "../pipeline/progress.ts";
import type {
  BenchReport,
  CompareReport,
  ConvertReport,
  DryRun,
  InspectReport,
  QuantizeReport,
  SchemesReport,
  WeightsReport,
} from "../pipeline/result.ts";

import type { SeveralWeightsReport, WeightsQuantizeReport } from "../pipeline/weights/index.ts";

/** Names a user can type, for checks and suggestions before anything is opened. */
export interface Vocabulary {
  readonly schemes: readonly string[];
  readonly algorithms: readonly string[];
  readonly metrics: readonly string[];
  readonly engines: readonly string[];
  readonly optimizers: readonly string[];
  readonly modes: readonly string[];
}

export interface Services {
  readonly names: Vocabulary;
  /** Everything from reading to writing the models; the report files are written by the command. */
  quantize(
    request: QuantizeRequest,
    hooks: Hooks,
  ): Promise<QuantizeReport | WeightsQuantizeReport | SeveralWeightsReport>;
  /** The plans of the same request; nothing is calibrated or written. */
  plan(request: QuantizeRequest, hooks: Hooks): Promise<DryRun | WeightsQuantizeReport | SeveralWeightsReport>;
  inspect(request: { readonly model: string }, hooks: Hooks): Promise<InspectReport | WeightsReport>;
  compare(request: CompareRequest, hooks: Hooks): Promise<CompareReport | LanguageCompareReport>;
  bench(request: BenchRequest, hooks: Hooks): Promise<BenchReport | LanguageBenchReport>;
  /** Writes a model in another container; one with a graph once both have been run and agree. */
  convert(
    request: ConvertRequest & Partial<ConvertFolderRequest>,
    hooks: Hooks,
  ): Promise<ConvertReport | ConvertFolderReport>;
  schemes(request: { readonly model?: string }, hooks: Hooks): Promise<SchemesReport>;
  /** Everything from reading the model to writing the trained one. */
  train(request: TrainRequest, hooks: Hooks): Promise<QuantizeReport>;
  demo(request: DemoRequest, hooks: Hooks): Promise<QuantizeReport>;
  /** Writes a file atomically, and unless told otherwise waits for the disk; makes its folder. */
  writeText(path: string, text: string, options?: { readonly flush?: boolean }): Promise<void>;
  /** Removes temporary files that an interrupted run left; synchronous, since a second Ctrl-C may follow. */
  cleanup(): void;
}
