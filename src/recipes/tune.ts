/** The user's settings on top of a named scheme: `--group-size`, `--symmetric`, `--algorithm`, `--activations`, `--embeddings`. */
import type { InputOutput } from "../ir/plan.ts";
import type { Scheme } from "../ir/scheme.ts";
import type { DType } from "../numeric/dtypes.ts";
import { fail } from "../numeric/errors.ts";
import type { NamedScheme, Step } from "./named-scheme.ts";

/** Neighbours that share a scale, or a whole output channel. */
export type GroupSize = number | "channel";

/** What can be changed about fewbit's own schemes. */
export interface Settings {
  readonly activations?: "symmetric" | "asymmetric";
  readonly weights?: "symmetric" | "asymmetric";
  /** Weights that share a scale; "channel": all of an output channel, whatever the op. */
  readonly groupSize?: GroupSize;
  readonly algorithm?: string;
  /** Also quantize embedding tables (Gather). */
  readonly embeddings?: boolean;
  /** Leave one bit of int8 weights unused, for CPUs whose 8-bit products saturate. */
  readonly reduceRange?: boolean;
  /** Type of a TFLite model's inputs and outputs. */
  readonly io?: InputOutput;
}

/** Forms whose weights' scales an algorithm searches. */
const SEARCHED: ReadonlySet<Step["form"]> = new Set(["nbits", "hybrid", "dequantize"]);
/** What codes of groups are per channel, and the operator set that has the type. */
const PER_CHANNEL: Readonly<Partial<Record<DType, { readonly scheme: Scheme; readonly opset: number }>>> = {
  uint8: { scheme: channels("int8", [-127, 127]), opset: 13 },
  uint4: { scheme: channels("int4", [-8, 7]), opset: 21 },
  uint2: { scheme: channels("int2", [-2, 1]), opset: 25 },
};
const GROUP_SIZES = [16, 32, 64, 128, 256];
/** Algorithms for weights on a grid in groups; the others are tables that belong to schemes of their own. */
const GRID_ALGORITHMS = ["rtn", "mse"];

/** Embeddings in blocks along a row; 2-bit tables have no kernel on WebGPU, so 4 bits are the least. */
const embeddingStep = (bits: number, size: number): Step => ({
  form: "gather",
  scheme: { dtype: bits >= 8 ? "uint8" : "uint4", symmetric: true, granularity: { per: "group", size } },
  algorithm: "rtn",
  ops: ["Gather"],
});

function channels(dtype: DType, codes: readonly [number, number]): Scheme {
  return { dtype, symmetric: true, granularity: { per: "axis" }, codes };
}

/** Codes of a whole channel, decoded when the model is loaded: no kernel takes groups that long. */
const channelStep = (step: Step): Step => ({
  form: "dq",
  scheme: PER_CHANNEL[step.scheme.dtype]?.scheme ?? step.scheme,
  algorithm: step.algorithm,
});

function tuneStep(step: Step, { weights, groupSize, algorithm, reduceRange }: Settings): Step {
  const grouped = step.scheme.granularity.per === "group";
  const scheme: Scheme = {
    ...step.scheme,
    ...(weights !== undefined && step.form === "nbits" ? { symmetric: weights === "symmetric" } : {}),
    ...(typeof groupSize === "number" && grouped ? { granularity: { per: "group", size: groupSize } } : {}),
    ...(reduceRange && step.form === "dynamic" ? { reduceRange } : {}),
  };
  const tuned = { ...step, scheme, ...(algorithm !== undefined && SEARCHED.has(step.form) ? { algorithm } : {}) };
  return groupSize === "channel" && step.form === "nbits" ? channelStep(tuned) : tuned;
}

/** The step in groups of the size asked for, and as it is for what takes no such groups. */
function groupedSteps(step: Step, groupSize: GroupSize | undefined, name: string): readonly Step[] {
  if (typeof groupSize !== "number" || step.groups === undefined) return [step];
  if (!step.groups.includes(groupSize))
    fail("usage", `group size ${groupSize}: the kernels of ${name} take ${step.groups.join(", ")}`);
  return [{ ...step, scheme: { ...step.scheme, granularity: { per: "group", size: groupSize } } }, step];
}

/** int8 with zero point 0, as TensorRT and most accelerators want it. */
function symmetric({ codes }: Scheme): Scheme {
  const half = codes === undefined ? 0 : (codes[1] - codes[0] + 1) / 2;
  const narrow: Partial<Scheme> = codes === undefined ? {} : { codes: [-half, half - 1] };
  return { dtype: "int8", symmetric: true, granularity: { per: "tensor" }, ...narrow };
}

function checkGroups(scheme: NamedScheme, { groupSize, weights }: Settings): void {
  if (groupSize === "channel" && weights === "asymmetric" && hasForm(scheme, "nbits"))
    fail("usage", "one scale for a whole channel has no zero point; leave out --asymmetric, or choose a group size");
  if (typeof groupSize === "number" && !GROUP_SIZES.includes(groupSize))
    fail("usage", `group size ${groupSize}: the engine has kernels for ${GROUP_SIZES.join(", ")}`);
}

/** Types of less than a byte came late to ONNX. */
function opsetFor(scheme: NamedScheme, groupSize: GroupSize | undefined): { readonly opset?: number } {
  const step = scheme.steps.find(({ form }) => form === "nbits");
  const opset = groupSize === "channel" && step && PER_CHANNEL[step.scheme.dtype]?.opset;
  return opset ? { opset } : {};
}

/** The scheme with the settings applied; transformers.js names are a contract and refuse them. */
export function tune(scheme: NamedScheme, settings: Settings): NamedScheme {
  const changed = Object.entries(settings).filter(([, value]) => value !== undefined && value !== false);
  if (changed.length === 0) return scheme;
  if (scheme.suffix !== undefined)
    fail(
      "usage",
      `scheme ${scheme.name} is a fixed contract of transformers.js; use w8, w4 or w8a8-dynamic to change ${changed[0]![0]}`,
    );
  const { groupSize, embeddings, activations, reduceRange, algorithm, io } = settings;
  if (algorithm !== undefined && !GRID_ALGORITHMS.includes(algorithm))
    fail(
      "usage",
      `algorithm ${algorithm} belongs to a scheme of its own; weights in groups take ${GRID_ALGORITHMS.join(" or ")}`,
    );
  checkGroups(scheme, settings);
  const steps = scheme.steps.flatMap((step) => groupedSteps(tuneStep(step, settings), groupSize, scheme.name));
  const fixed = scheme.static && {
    activations: activations === "symmetric" ? symmetric(scheme.static.activations) : scheme.static.activations,
    weights: reduceRange ? { ...scheme.static.weights, reduceRange } : scheme.static.weights,
    algorithm: algorithm ?? scheme.static.algorithm,
    ...(io && { io }),
  };
  return {
    ...scheme,
    steps: embeddings ? [embeddingStep(scheme.bits, typeof groupSize === "number" ? groupSize : 32), ...steps] : steps,
    ...opsetFor(scheme, groupSize),
    ...(fixed ? { static: fixed } : {}),
  };
}

const hasForm = (scheme: NamedScheme, form: Step["form"]): boolean => scheme.steps.some((step) => step.form === form);

/** What each setting acts on; a scheme without it takes no notice. */
const ACTS_ON: {
  readonly [S in keyof Settings]-?: (scheme: NamedScheme, groupSize: GroupSize | undefined) => boolean;
} = {
  activations: (scheme) => scheme.static !== undefined,
  weights: (scheme) => hasForm(scheme, "nbits"),
  groupSize: (scheme, groupSize) =>
    groupSize === "channel"
      ? hasForm(scheme, "nbits")
      : scheme.steps.some((step) => step.scheme.granularity.per === "group" || step.groups),
  algorithm: (scheme) => scheme.static !== undefined || scheme.steps.some(({ form }) => SEARCHED.has(form)),
  embeddings: (scheme) => scheme.steps.length > 0,
  reduceRange: (scheme) => scheme.static !== undefined || hasForm(scheme, "dynamic"),
  io: (scheme) => scheme.static?.io !== undefined,
};

/** Names of the settings that change nothing about this scheme. */
export const ignoredSettings = (scheme: NamedScheme, settings: Settings): readonly string[] =>
  (Object.keys(ACTS_ON) as (keyof Settings)[]).filter(
    (name) => settings[name] && !ACTS_ON[name](scheme, settings.groupSize),
  );
