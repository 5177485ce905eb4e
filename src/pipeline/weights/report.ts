/** What quantizing a file of weights did, or would do. */
import type { StorageType } from "../../ir/tensor-file.ts";
import type { Noise } from "../../kernels/ggml/index.ts";
import type { ErrorCode } from "../../numeric/errors.ts";
import { sqnr } from "../../numeric/metrics.ts";
import type { LanguageRun } from "../language/index.ts";
import type { BeforeAfter, Environment, Finding } from "../result.ts";
import type { WeightsPlan } from "./plan.ts";

/** One tensor before and after. */
export interface TensorReport {
  readonly name: string;
  readonly shape: readonly number[];
  readonly from: StorageType;
  readonly to: StorageType;
  /** Bytes. */
  readonly size: BeforeAfter;
  readonly reason: string;
  /** The type that its rows don't fit. */
  readonly insteadOf?: string;
  /** Signal to noise of the decoded tensor against the source, in dB; null when exact, absent where nothing was encoded. */
  readonly sqnr?: number | null;
}

/** Everything `fewbit quantize` found out about a model without a graph. */
export interface WeightsQuantizeReport {
  readonly kind: "quantize-weights";
  readonly model: { readonly name: string; readonly files: number; readonly size: number };
  /** A file type, or the size that was asked for: "q4_k_m", "4.5bpw". */
  readonly scheme: string;
  /** As typed, with file names in place of absolute paths. */
  readonly command: string;
  /** ISO 8601. */
  readonly createdAt: string;
  readonly environment: Environment;
  /** Of all tensors, without headers. */
  readonly bitsPerWeight: number;
  /** Where a size was asked for: the most bytes, the mean noise over signal, and what no choice of types can be below. */
  readonly target?: { readonly size: number; readonly error: number; readonly bound: number };
  /** Absent in a dry run, and where `--max-drop` was not kept. */
  readonly output?: string;
  /** `sha256` (hexadecimal) where it was asked for; folders of safetensors have it anyway. */
  readonly files: readonly { readonly name: string; readonly size: number; readonly sha256?: string }[];
  /** Bytes of the files; `ratio` is before / after. */
  readonly size: BeforeAfter & { readonly ratio: number };
  readonly tensors: readonly TensorReport[];
  /** What running it beside the original gave; absent where it was not run. */
  readonly run?: LanguageRun;
  readonly findings: readonly Finding[];
  readonly seconds: number;
}

/** What `fewbit quantize` found out about a model without a graph and several schemes. */
export interface SeveralWeightsReport {
  readonly kind: "quantize-weights-several";
  readonly model: WeightsQuantizeReport["model"];
  readonly candidates: readonly WeightsQuantizeReport[];
  /** Schemes that could not be made, and why. */
  readonly refused: readonly { readonly scheme: string; readonly code: ErrorCode; readonly reason: string }[];
  readonly seconds: number;
}

/** A row on what was planned, with the error that was measured. */
export function tensorReport(
  plan: Omit<TensorReport, "size" | "sqnr"> & BeforeAfter,
  errors: Noise | undefined,
): TensorReport {
  const { name, shape, from, to, before, after, reason, insteadOf } = plan;
  const ratio = errors === undefined ? undefined : sqnr(errors);
  return {
    ...{ name, shape, from, to, size: { before, after }, reason },
    ...(insteadOf && { insteadOf }),
    ...(ratio !== undefined && { sqnr: Number.isFinite(ratio) ? ratio : null }),
  };
}

export const tensorReports = (plan: WeightsPlan, errors: ReadonlyMap<string, Noise>): readonly TensorReport[] =>
  plan.tensors.map((tensor) => tensorReport(tensor, errors.get(tensor.name)));

function fallbackFinding({ tensors }: WeightsPlan): readonly Finding[] {
  const fallen = tensors.filter(({ insteadOf }) => insteadOf !== undefined);
  const [first] = fallen;
  if (first === undefined) return [];
  const number = fallen.length === 1 ? "1 tensor has" : `${fallen.length} tensors have`;
  const message = `${number} another type than the scheme wants, since blocks don't fit the rows: "${first.name}" is ${first.to} instead of ${first.insteadOf}`;
  return [{ severity: "info", code: "fallback", message }];
}

function missingFinding({ tensors }: WeightsPlan): readonly Finding[] {
  const first = tensors.find(({ missing }) => missing !== undefined);
  if (first === undefined) return [];
  return [{ severity: "error", code: "missing", message: `tensor "${first.name}": ${first.missing}` }];
}

/** What is to be said of a plan, before it is done and after. */
export const planFindings = (plan: WeightsPlan): readonly Finding[] => [
  ...missingFinding(plan),
  ...fallbackFinding(plan),
];
