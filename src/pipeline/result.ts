/**
 * What quantize, compare, bench, inspect and schemes give back. Plain data that survives JSON: sizes in bytes, times in
 * milliseconds, shares from 0 to 1, signal to noise in dB. What was not measured is absent, never a made-up number.
 */
import type { ContainerName, Dim } from "../ir/model.ts";
import type { Form, Kept, Plan } from "../ir/plan.ts";
import type { ErrorCode } from "../numeric/errors.ts";

/** "error": the model must not be used; "warning": it may disappoint; "info": good to know. */
export type Severity = "info" | "warning" | "error";

/** Something a person should know. `code` is stable and short ("no-speedup"), `remedy` says what to do about it. */
export interface Finding {
  readonly severity: Severity;
  readonly code: string;
  readonly message: string;
  readonly remedy?: string;
}

/** A measurement of the original and of the new model. */
export interface BeforeAfter {
  readonly before: number;
  readonly after: number;
}

/** `ratio` is before / after: above 1 means that the new one is smaller or faster. */
export interface Ratio extends BeforeAfter {
  readonly ratio: number;
}

/** A ratio of two measurements; infinite and undefined quotients become 0, so that the value survives JSON. */
export const ratioOf = (before: number, after: number): Ratio => {
  const ratio = before / after;
  return { before, after, ratio: Number.isFinite(ratio) ? ratio : 0 };
};

/** Median milliseconds of one run, measured interleaved on the same engine. */
export interface Latency extends Ratio {
  readonly p90: BeforeAfter;
  /** Timed runs of each model. */
  readonly runs: number;
  readonly engine: string;
  readonly threads: number;
  /** Samples in one run. */
  readonly batch: number;
}

/** Resident bytes that opening and running the model adds in a fresh process, and milliseconds until it is open. */
export interface Memory extends Ratio {
  readonly load: Ratio;
}

/** Distance of one output from the original's, over all samples. */
export interface OutputError {
  readonly name: string;
  /** dB; null when the outputs are equal to the last bit. */
  readonly sqnr: number | null;
  readonly cosine: number;
  readonly maxAbs: number;
}

/** A task metric of both models. Shares (accuracies) from 0 to 1. */
export interface Metric extends BeforeAfter {
  readonly higherIsBetter: boolean;
  /** How to print it: a share as percent, anything else as a number. */
  readonly unit: "share" | "number";
}

/** Counts in equal bins over [min, max]. */
export interface ValueHistogram {
  readonly min: number;
  readonly max: number;
  readonly counts: readonly number[];
}

/** What quantizing one node cost at one value, its output where that was compared, else its weight. */
export interface LayerResult {
  readonly node: string;
  readonly op: string;
  readonly value: string;
  readonly kind: "weight" | "activation";
  /** Absent for models that fewbit did not make. */
  readonly form?: Form;
  readonly bits: number;
  /** dB; null when nothing was lost. */
  readonly sqnr: number | null;
  readonly mse: number;
  /** Mean of the errors: their common shift. */
  readonly meanError: number;
  /** Largest difference of two values. */
  readonly maxAbs: number;
  /**
   * Root mean square error in steps of the value's grid. Rounding alone gives 0.29 (the root of 1/12); more came in with
   * what the layer reads, or was clipped.
   */
  readonly steps?: number;
  /** What the grid covers. */
  readonly range?: { readonly min: number; readonly max: number };
  /** What calibration or the weight held; may reach beyond `range`. */
  readonly histogram?: ValueHistogram;
}

/** A file that was handed over. */
export interface OutputFile {
  /** File name, relative to the folder of the report. */
  readonly name: string;
  readonly size: number;
  /** Hexadecimal. */
  readonly sha256: string;
}

/** The agreement with the user on accuracy: `--max-drop`. */
export interface Contract {
  readonly metric: string;
  /** In the metric's own unit: a share of 0.01 is one percent point. */
  readonly maxDrop: number;
  readonly drop: number;
  readonly met: boolean;
}

/** How a model was trained, and how its loss went. */
export interface TrainingSummary {
  /** "float", "qat", "low-precision". */
  readonly mode: string;
  readonly data: DataSummary;
  /** Settings in words: "cross-entropy", "adam", "cosine from 0.001". */
  readonly loss: string;
  readonly optimizer: string;
  readonly schedule: string;
  readonly epochs: number;
  readonly batch: number;
  readonly steps: number;
  readonly seed: number;
  /** Mean losses of equal parts of the run, in order. */
  readonly losses: readonly number[];
}

/** One model made from the original, and what was measured of the two. */
export interface Candidate {
  readonly scheme: string;
  /** Path as it was asked for; absent when nothing was written. */
  readonly output?: string;
  readonly files: readonly OutputFile[];
  readonly size: Ratio;
  readonly latency?: Latency;
  readonly memory?: Memory;
  readonly outputs: readonly OutputError[];
  readonly metrics: Readonly<Record<string, Metric>>;
  /** Share of samples with the same top answer as the original. */
  readonly agreement?: number;
  /** Share of the quantizable ops that run in integers, of those the engine left after its own optimization. */
  readonly integerShare?: number;
  readonly opHistogram?: {
    readonly before: Readonly<Record<string, number>>;
    readonly after: Readonly<Record<string, number>>;
  };
  readonly kept: readonly Kept[];
  readonly layers: readonly LayerResult[];
  readonly findings: readonly Finding[];
  readonly notes: readonly string[];
  readonly contract?: Contract;
  /** Present when the model was trained on the way. */
  readonly training?: TrainingSummary;
  readonly seconds: number;
}

/** What reports say of the original. */
export interface ModelSummary {
  /** File name without folders. */
  readonly name: string;
  /** Of the model file, hexadecimal. */
  readonly sha256: string;
  /** With external data. */
  readonly size: number;
  readonly ops: number;
  /** Of ONNX models. */
  readonly opset?: number;
}

/** What reports say of samples. */
export interface DataSummary {
  /** File or folder name, or "random". */
  readonly origin: string;
  readonly samples: number;
  readonly random: boolean;
}

/** What the measurements depend on. */
export interface Environment {
  readonly fewbit: string;
  readonly node: string;
  /** Engine name and version: "ort-node 1.30.0". */
  readonly engine: string;
  readonly platform: string;
  readonly cpu: string;
  readonly threads: number;
}

interface ReportHead {
  /** Version of this format. */
  readonly version: 1;
  /** ISO 8601. */
  readonly createdAt: string;
  /** As typed, with file names in place of absolute paths. */
  readonly command: string;
  readonly environment: Environment;
  readonly model: ModelSummary;
  readonly findings: readonly Finding[];
  readonly seconds: number;
}

/** Everything `fewbit quantize` found out; the HTML page is drawn from this alone. */
export interface QuantizeReport extends ReportHead {
  readonly kind: "quantize";
  /** Folder that the report belongs in where it is not that of the models: a transformers.js folder. */
  readonly home?: string;
  readonly calibration?: DataSummary;
  readonly evaluation?: DataSummary;
  readonly candidates: readonly Candidate[];
  readonly recommended?: { readonly scheme: string; readonly reason: string };
  /** Schemes that could not be made for this model, and why. */
  readonly refused: readonly { readonly scheme: string; readonly code: ErrorCode; readonly reason: string }[];
}

/** Two models the user already has; `candidate.scheme` holds the candidate's file name. */
export interface CompareReport extends ReportHead {
  readonly kind: "compare";
  readonly evaluation: DataSummary;
  readonly candidate: Candidate;
}

/** How far an output of a converted model is from the original's, over all samples. */
export interface ConvertedOutput {
  readonly name: string;
  /** dB; null when the outputs are equal to the last bit. */
  readonly sqnr: number | null;
  readonly maxAbs: number;
  /** Largest magnitude of the original's output. */
  readonly largest: number;
  /** Share of elements that differ at all, of outputs that are whole numbers or truth values. */
  readonly differing?: number;
}

/** A model in another container, and how both ran on the same samples. */
export interface ConvertReport extends ReportHead {
  readonly kind: "convert";
  /** Path of the converted model; absent when it was not handed over. */
  readonly output?: string;
  readonly files: readonly OutputFile[];
  readonly size: Ratio;
  /** Nodes of both graphs. */
  readonly ops: BeforeAfter;
  /** Engine that ran the original. */
  readonly reference: string;
  readonly evaluation: DataSummary;
  readonly outputs: readonly ConvertedOutput[];
  /** True where any number of samples can be run at once. */
  readonly openBatch: boolean;
}

/** What `--dry-run` prints: the plans, nothing written. */
export interface DryRun {
  readonly model: ModelSummary;
  readonly plans: readonly Plan[];
  readonly findings: readonly Finding[];
}

/** What `fewbit bench` measured of one model. */
export interface BenchRow {
  readonly name: string;
  readonly size: number;
  /** Milliseconds of one run. */
  readonly median: number;
  readonly p10: number;
  readonly p90: number;
  /** Samples per second at the median. */
  readonly throughput: number;
  readonly batch: number;
  /** Resident bytes and milliseconds to open, in a fresh process. */
  readonly memory?: { readonly resident: number; readonly load: number };
  /** First model's median divided by this one's. */
  readonly speedup: number;
}

/** Everything `fewbit bench` found out. */
export interface BenchReport {
  readonly kind: "bench";
  readonly environment: Environment;
  readonly runs: number;
  readonly rows: readonly BenchRow[];
  readonly findings: readonly Finding[];
}

/** A model's input or output for people. */
export interface PortSummary {
  readonly name: string;
  readonly dtype: string;
  readonly shape?: readonly Dim[];
}

/** What one kind of op holds, and what fewbit could do with it. */
export interface OpSummary {
  readonly op: string;
  readonly count: number;
  /** Bytes of the constants its nodes read. */
  readonly weightBytes: number;
  /** Nodes some scheme can quantize. */
  readonly quantizable: number;
  /** Why the others can't be. */
  readonly reasons: readonly string[];
}

/** Everything `fewbit inspect` found out. */
export interface InspectReport {
  readonly kind: "inspect";
  readonly model: ModelSummary;
  readonly container: ContainerName;
  readonly formatVersion: number;
  readonly opsets: Readonly<Record<string, number>>;
  readonly producer?: string;
  readonly inputs: readonly PortSummary[];
  readonly outputs: readonly PortSummary[];
  readonly parameters: number;
  readonly weights: readonly { readonly dtype: string; readonly tensors: number; readonly bytes: number }[];
  readonly ops: readonly OpSummary[];
  readonly largest: readonly {
    readonly name: string;
    readonly dtype: string;
    readonly shape: readonly number[];
    readonly bytes: number;
  }[];
  readonly findings: readonly Finding[];
}

/** What `fewbit inspect` found out about files of tensors without a graph. */
export interface WeightsReport {
  readonly kind: "weights";
  /** Name of the file or folder, number of files, bytes of all of them. */
  readonly model: { readonly name: string; readonly files: number; readonly size: number };
  readonly container: ContainerName;
  readonly formatVersion: number;
  /** `general.architecture` of GGUF. */
  readonly architecture?: string;
  readonly tensors: number;
  readonly parameters: number;
  readonly weights: InspectReport["weights"];
  readonly largest: InspectReport["largest"];
  /** In file order; long texts and arrays are cut. */
  readonly metadata: readonly { readonly key: string; readonly type: string; readonly value: string }[];
}

/** One scheme as `fewbit schemes` lists it; from `fits` on only for a given model. */
export interface SchemeSummary {
  readonly name: string;
  /** What models it is for. */
  readonly container: ContainerName;
  readonly summary: string;
  readonly needsData: boolean;
  readonly fits?: boolean;
  readonly bytes?: number;
  readonly reason?: string;
  /** GGUF: no file without an importance matrix. */
  readonly needsImportance?: boolean;
  /** GGUF: of all tensors, without headers. */
  readonly bitsPerWeight?: number;
  /** GGUF: tensors that get another type because blocks don't fit their rows. */
  readonly fallbacks?: number;
}

/** Everything `fewbit schemes` found out. */
export interface SchemesReport {
  readonly kind: "schemes";
  readonly model?: ModelSummary | WeightsReport["model"];
  readonly schemes: readonly SchemeSummary[];
}
