/**
 * The dtypes of transformers.js: file names and contents as its last first-party scripts wrote them (huggingface/
 * transformers.js, scripts/quantize.py and convert.py before commit 4e1b4b65).
 */
import type { Scheme } from "../ir/scheme.ts";
import { fail } from "../numeric/errors.ts";
import type { NamedScheme, Step } from "./named-scheme.ts";

/** What the contents depend on besides the dtype. */
export interface ModelFacts {
  /** Op types anywhere in the model. */
  readonly ops: ReadonlySet<string>;
  /** `model_type` of config.json; a model without one is treated like any type that convert.py has no exception for. */
  readonly modelType?: string;
}

/** Models whose weights convert.py quantized per tensor and without a reduced range. */
export const NO_PER_CHANNEL_REDUCE_RANGE_MODELS: ReadonlySet<string> = new Set(
  `codegen gpt2 gpt_bigcode gptj gpt-neo gpt-neox mpt bloom llama gemma opt mistral falcon phi phi3 qwen2 stablelm
   starcoder2 openelm mobilellm olmo whisper vision-encoder-decoder owlv2 wavlm wav2vec2 unispeech unispeech-sat`.split(
    /\s+/,
  ),
);

/** Ops that make q8 take unsigned weights: no engine has ConvInteger for signed ones, the others run better so. */
export const UNSIGNED_WEIGHT_OPS = ["Conv", "GroupQueryAttention", "MultiHeadAttention"] as const;

/** `per_channel` and `reduce_range` of convert.py for a model type. */
export const usesPerChannelReduceRange = (modelType: string | undefined): boolean =>
  modelType === undefined || !NO_PER_CHANNEL_REDUCE_RANGE_MODELS.has(modelType);

type Signedness = "int8" | "uint8";

/** Signedness of the weights of q8 for a model with these ops. */
export const q8Weights = (ops: ReadonlySet<string>): Signedness =>
  UNSIGNED_WEIGHT_OPS.some((op) => ops.has(op)) ? "uint8" : "int8";

const dynamic = (scheme: Scheme, ops: readonly string[]): Step => ({
  form: "dynamic",
  scheme,
  algorithm: "minmax",
  ops,
});

/** Matrices per column if asked, convolutions and tables per tensor; tables are always uint8 over the full range. */
function integerSteps(dtype: Signedness, perChannelReduceRange: boolean): readonly Step[] {
  const symmetric = dtype === "int8";
  const reduceRange = perChannelReduceRange;
  const matrix = perChannelReduceRange ? ({ per: "axis" } as const) : ({ per: "tensor" } as const);
  return [
    dynamic({ dtype, symmetric, granularity: matrix, reduceRange }, ["MatMul", "Gemm"]),
    dynamic({ dtype, symmetric, granularity: { per: "tensor" }, reduceRange }, ["Conv"]),
    dynamic({ dtype: "uint8", symmetric: false, granularity: { per: "tensor" } }, ["Gather"]),
  ];
}

const groups = (dtype: "uint4" | "uint2", size: number): Scheme => ({
  dtype,
  symmetric: true,
  granularity: { per: "group", size },
});

const nbits = (dtype: "uint4" | "uint2"): readonly Step[] => [
  { form: "nbits", scheme: groups(dtype, 32), algorithm: "rtn", ops: ["MatMul"] },
];

const bnb4: readonly Step[] = [
  { form: "bnb4", scheme: { ...groups("uint4", 64), codebook: "nf4" }, algorithm: "nf4", ops: ["MatMul"] },
];

const row = (
  name: string,
  suffix: string,
  bits: number,
  summary: string,
  steps: readonly Step[],
  rest: Partial<NamedScheme> = {},
): NamedScheme => ({ name, suffix, bits, summary: `transformers.js ${name}: ${summary}`, steps, ...rest });

const half = { float16: "transformers.js" } as const;
const integer = { opset: 11 } as const;

/** One row per dtype that can be written, as for a model without convolutions and without a config.json. */
export const TRANSFORMERS_JS: readonly NamedScheme[] = [
  row(
    "q8",
    "_quantized",
    8,
    "weights 8 bit, signed where engines can, the default in browsers",
    integerSteps("int8", true),
    integer,
  ),
  row(
    "int8",
    "_int8",
    8,
    "weights int8; convolutions stay float, no engine runs them",
    integerSteps("int8", true),
    integer,
  ),
  row("uint8", "_uint8", 8, "weights uint8", integerSteps("uint8", true), integer),
  row("q4", "_q4", 4, "matrices 4 bit in groups of 32", nbits("uint4")),
  row("q4f16", "_q4f16", 4, "matrices 4 bit in groups of 32, the rest float16", nbits("uint4"), half),
  row("q2", "_q2", 2, "matrices 2 bit in groups of 32; needs transformers.js 4.1, not for WebGPU", nbits("uint2")),
  row("q2f16", "_q2f16", 2, "matrices 2 bit in groups of 32, the rest float16; not for WebGPU", nbits("uint2"), half),
  row("bnb4", "_bnb4", 4, "matrices 4 bit NormalFloat in groups of 64; slow on CPUs", bnb4),
  row("fp16", "_fp16", 16, "everything float16", [], half),
];

/** Suffix of a file by dtype; all that the loader knows, fp32 has none. */
export const SUFFIXES: ReadonlyMap<string, string> = new Map([
  ...TRANSFORMERS_JS.map(({ name, suffix }) => [name, suffix ?? ""] as const),
  ["q1", "_q1"],
  ["q1f16", "_q1f16"],
]);

const REFUSED: ReadonlyMap<string, string> = new Map([
  ["fp32", "is the original itself; nothing to do"],
  ["q1", "has no writer and no published layout; use q2, the smallest that engines run"],
  ["q1f16", "has no writer and no published layout; use q2f16, the smallest that engines run"],
]);

const BY_NAME: ReadonlyMap<string, NamedScheme> = new Map(TRANSFORMERS_JS.map((scheme) => [scheme.name, scheme]));

/** The dtype of that name; one that can't be written is refused with the reason and the list of those that can. */
export function transformersJsScheme(name: string): NamedScheme {
  const found = BY_NAME.get(name);
  if (found !== undefined) return found;
  const known = [...BY_NAME.keys()].join(", ");
  const reason = REFUSED.get(name);
  return fail(
    reason === undefined ? "usage" : "unsupported",
    reason === undefined
      ? `"${name}" is not a transformers.js dtype; known are ${known}`
      : `dtype ${name} ${reason} (${known} can be written)`,
  );
}

const INTEGER_DTYPES: Readonly<Record<string, (ops: ReadonlySet<string>) => Signedness>> = {
  q8: q8Weights,
  int8: () => "int8",
  uint8: () => "uint8",
};

/** The steps of q8, int8 and uint8 depend on the model; other schemes come back as they are. */
export function forModel(scheme: NamedScheme, facts: ModelFacts): NamedScheme {
  const weights = Object.hasOwn(INTEGER_DTYPES, scheme.name) ? INTEGER_DTYPES[scheme.name] : undefined;
  if (weights === undefined) return scheme;
  return { ...scheme, steps: integerSteps(weights(facts.ops), usesPerChannelReduceRange(facts.modelType)) };
}
