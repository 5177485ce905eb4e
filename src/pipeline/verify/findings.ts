/** From measurements to sentences: what a person should know before using the model. */
import type { Plan } from "../../ir/plan.ts";
import { bitsOf, type Scheme } from "../../ir/scheme.ts";
import { milliseconds } from "../report/format.ts";
import type { Candidate, Finding } from "../result.ts";

/** What the rules look at. */
export interface Measured
  extends Pick<
    Candidate,
    "size" | "latency" | "memory" | "outputs" | "metrics" | "agreement" | "integerShare" | "layers"
  > {
  readonly broken: readonly string[];
  readonly random: boolean;
  readonly engine: string;
  readonly plan: Plan | undefined;
}

/** One rule: a finding, or nothing to say. */
type Rule = (measured: Measured) => Finding | undefined;

const quote = (names: readonly string[]): string => names.map((name) => `"${name}"`).join(", ");
const times = (ratio: number): string => `${ratio.toFixed(2)}x`;
const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

/** Faster or slower by less than this is noise. */
const NOISE = 0.03;
const faster = ({ latency }: Measured): boolean => (latency?.ratio ?? 0) > 1 + NOISE;
const smaller = ({ size }: Measured): boolean => size.ratio > 1 + NOISE;

/** ONNX Runtime, native or as WebAssembly: some rules are about its kernels. */
const isOrt = (engine: string): boolean => engine.startsWith("ort");

/** Bits of the grids that leave codes of a byte unused. */
const fewCodes = (schemes: readonly Scheme[] = []): readonly number[] =>
  schemes
    .filter(({ codes }) => codes !== undefined)
    .map(bitsOf)
    .filter((bits) => bits < 8);

/** The error is half as large as the values: hardly any use of a model bears that. */
const FAR_DB = 6;

const RULES: readonly Rule[] = [
  ({ broken }) =>
    broken.length === 0
      ? undefined
      : {
          severity: "error",
          code: "not-a-number",
          message: `output ${quote(broken)} holds NaN or infinity where the original's values are finite`,
          remedy: "do not use this model; keep the layers named as worst in float with --keep, or choose w8 or w8a8",
        },
  ({ outputs, broken }) => {
    const worst = outputs
      .filter(({ name, sqnr }) => sqnr !== null && sqnr < FAR_DB && !broken.includes(name))
      .sort((a, b) => a.sqnr! - b.sqnr!)[0];
    return worst === undefined
      ? undefined
      : {
          severity: "warning",
          code: "far-off",
          message: `output "${worst.name}" is far from the original's: signal to noise ${worst.sqnr!.toFixed(1)} dB, cosine ${worst.cosine.toFixed(3)}`,
          remedy: "choose a scheme with more bits or smaller groups, or keep the worst layers in float with --keep",
        };
  },
  (m) =>
    smaller(m) || faster(m)
      ? undefined
      : {
          severity: "warning",
          code: "no-gain",
          message: `the model is neither smaller (${times(m.size.ratio)}) nor faster (${times(m.latency?.ratio ?? 0)}) than the original`,
          remedy: "use the original, or try another scheme: fewbit schemes MODEL lists those that fit",
        },
  (m) =>
    m.size.ratio < 1
      ? {
          severity: "warning",
          code: "grew",
          message: `the file grew from ${m.size.before} to ${m.size.after} bytes`,
          remedy: "use the original, or a scheme with fewer bits or larger groups",
        }
      : undefined,
  (m) =>
    m.latency !== undefined && m.latency.ratio < 1 - NOISE && smaller(m)
      ? {
          severity: "warning",
          code: "slower",
          message: `smaller, but slower here: ${milliseconds(m.latency.after)} instead of ${milliseconds(m.latency.before)}`,
          remedy: "measure on the machine that will run it (fewbit bench), or choose w8a8 or w8a8-dynamic for speed",
        }
      : undefined,
  ({ random }) =>
    random
      ? {
          severity: "info",
          code: "no-data",
          message: "opened and run on made-up inputs; that says nothing about accuracy",
          remedy: "give samples with --data, and labels with --labels, to measure what quantizing cost",
        }
      : undefined,
  ({ agreement, random }) =>
    agreement !== undefined && agreement < 0.9 && !random
      ? {
          severity: "warning",
          code: "low-agreement",
          message: `only ${percent(agreement)} of the samples get the original's answer`,
          remedy: "keep the worst layers in float with --keep, or choose a scheme with more bits",
        }
      : undefined,
  ({ plan, integerShare, engine }) =>
    plan?.values.length && integerShare !== undefined && integerShare < 1
      ? {
          severity: integerShare < 0.5 ? "warning" : "info",
          code: "float-left",
          message: `${percent(integerShare)} of the heavy ops run in integers${isOrt(engine) ? " after the engine's own optimization" : ""}`,
          remedy:
            isOrt(engine) && plan.values.some(({ scheme }) => scheme.symmetric)
              ? "symmetric int8 activations are for other targets (TensorRT, NPUs); ONNX Runtime's CPU kernels want the default"
              : "the list of kept nodes says why the others don't",
        }
      : undefined,
  ({ plan, engine }) => {
    if (plan?.scheme === "w8a8" || !isOrt(engine)) return undefined;
    const weights = Math.min(
      ...fewCodes(plan?.nodes.flatMap(({ form, weight }) => (form === "qdq" && weight ? [weight.scheme] : []))),
    );
    const activations = Math.min(...fewCodes(plan?.values.map(({ scheme }) => scheme)));
    if (weights === Number.POSITIVE_INFINITY && activations === Number.POSITIVE_INFINITY) return undefined;
    return {
      severity: "info",
      code: "computed-in-8-bits",
      message: [
        ...(weights < 8 ? [`${weights}-bit weights are unpacked to int8 when the model is loaded`] : []),
        ...(activations < 8 ? [`${activations}-bit activations are uint8 codes limited by Clip`] : []),
        "engines have no kernels for less than 8 bits: speed and memory are those of w8a8, the file is smaller",
      ].join("; "),
      remedy: "choose w8a8 where the size of the file does not matter; it is more exact",
    };
  },
  ({ plan, engine }) =>
    engine === "ort-node" && plan?.nodes.some(({ form }) => form === "nbits")
      ? {
          severity: "info",
          code: "slow-on-wasm",
          message:
            "MatMulNBits is fast on native CPUs and WebGPU, but up to 14 times slower than float on WebAssembly CPUs",
          remedy: "for browsers without WebGPU choose w8a8-dynamic; check with --engine ort-web",
        }
      : undefined,
  ({ plan, engine }) =>
    engine === "ort-web" && plan?.nodes.some(({ form }) => form === "nbits")
      ? {
          severity: "warning",
          code: "slow-on-wasm",
          message: "4-bit and other MatMulNBits weights are slow on the WebAssembly CPU engine that runs here",
          remedy: "choose w8a8-dynamic or w8a8 for WebAssembly; keep this one for WebGPU or native CPUs",
        }
      : undefined,
];

/** All findings, in the order of the rules. */
export const judge = (measured: Measured): readonly Finding[] =>
  RULES.map((rule) => rule(measured)).filter((finding) => finding !== undefined);
