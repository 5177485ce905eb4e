/** The part of ONNX Runtime's JavaScript API that both of its packages share. */
import type { InferenceSession } from "onnxruntime-web";

export type Ort = Pick<typeof import("onnxruntime-web"), "InferenceSession" | "Tensor" | "env">;
export type OrtSession = InferenceSession;
export type OrtOptions = InferenceSession.SessionOptions;
export type OrtMetadata = InferenceSession.ValueMetadata;

/** Severity 4 logs nothing but fatal errors: every other error arrives as an exception, and nothing may hit the console. */
export const FATAL = 4;

const LEVELS = { all: "all", none: "disabled" } as const;

/** What is the same for every session fewbit opens. Spinning workers would steal time from whatever is compared. */
export const sessionOptions = (threads: number, optimize: "all" | "none" = "all"): OrtOptions => ({
  graphOptimizationLevel: LEVELS[optimize],
  executionMode: "sequential",
  intraOpNumThreads: threads,
  interOpNumThreads: 1,
  logSeverityLevel: FATAL,
  extra: { session: { intra_op: { allow_spinning: "0" } } },
});

/** The module itself, whether its loader hands out CommonJS or ES exports. */
export const ortModule = (loaded: Ort | { readonly default: Ort }): Ort =>
  "InferenceSession" in loaded ? loaded : loaded.default;
