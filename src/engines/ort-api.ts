/** The part of ONNX Runtime's JavaScript API that both of its packages share. */
import type { InferenceSession } from "onnxruntime-web";

export type Ort = Pick<typeof import("onnxruntime-web"), "InferenceSession" | "Tensor" | "env">;
export type OrtSession = InferenceSession;
export type OrtOptions = InferenceSession.SessionOptions;
export type OrtMetadata = InferenceSession.ValueMetadata;

/** Severity 4 logs nothing but fatal errors: every other error arrives as an exception, and nothing may hit the console. */
export const FATAL = 4;

const LEVELS = { all: "all", none: "disabled" } as const;

/**
 * How long threads without work stay awake: long enough for the gaps between the parts of an operator, and not a moment
 * beyond the end of a run.
 */
const SPINNING = { intra_op: { allow_spinning: "1", spin_duration_us: "50" }, force_spinning_stop: "1" };
/** Spinning threads would steal time from whatever is compared. */
const ASLEEP = { intra_op: { allow_spinning: "0" } };

/** What is the same for every session fewbit opens. */
export const sessionOptions = (threads: number, optimize: "all" | "none" = "all", spin = false): OrtOptions => ({
  graphOptimizationLevel: LEVELS[optimize],
  executionMode: "sequential",
  intraOpNumThreads: threads,
  interOpNumThreads: 1,
  logSeverityLevel: FATAL,
  extra: { session: spin && threads > 1 ? SPINNING : ASLEEP },
});

/** The module itself, whether its loader hands out CommonJS or ES exports. */
export const ortModule = (loaded: Ort | { readonly default: Ort }): Ort =>
  "InferenceSession" in loaded ? loaded : loaded.default;
