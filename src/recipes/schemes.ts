/** The named schemes: `fewbit quantize -s NAME`. One row holds all that is known of a name in one container. */
import type { GraphContainer } from "../ir/model.ts";
import type { Codebook, Scheme } from "../ir/scheme.ts";
import type { DType } from "../numeric/dtypes.ts";
import { fail } from "../numeric/errors.ts";
import { didYouMean } from "../numeric/suggest.ts";
import type { NamedScheme, Step } from "./named-scheme.ts";
import { TFLITE_SCHEMES } from "./tflite.ts";
import { TRANSFORMERS_JS, transformersJsScheme } from "./transformers-js.ts";

const perTensor = (dtype: DType, symmetric: boolean): Scheme => ({ dtype, symmetric, granularity: { per: "tensor" } });
const perAxis = (dtype: DType): Scheme => ({ dtype, symmetric: true, granularity: { per: "axis" } });
const groups = (dtype: DType, size: number, symmetric: boolean): Scheme => ({
  dtype,
  symmetric,
  granularity: { per: "group", size },
});
const codebook = (name: Codebook): Scheme => ({ ...groups("uint4", 64, true), codebook: name });

/** MatMulNBits with int8 arithmetic inside: accuracy_level 4 is the fast kernel (docs of the operator). */
const nbits = (dtype: "uint8" | "uint4" | "uint2", size: number, symmetric: boolean, algorithm: string): Step => ({
  form: "nbits",
  scheme: groups(dtype, size, symmetric),
  algorithm,
  options: { accuracy_level: 4 },
});

/** Weights int8 per channel in the file, float arithmetic: for ops without a weight-only kernel (convolutions). */
const storedInt8: Step = { form: "dq", scheme: perAxis("int8"), algorithm: "rtn" };

/**
 * Embedding tables in 8 bits with a scale for 32 neighbours: next to no loss, and half of a small model's bytes. Finer
 * than a scale per row, which costs an encoder's embeddings visibly (all-MiniLM-L6-v2: worst cosine 0.979 against 0.984).
 */
const tables: Step = { form: "gather", scheme: groups("uint8", 32, true), algorithm: "rtn", ops: ["Gather"] };

/** Few codes in the smallest type that holds them; `bits` is 1.58 for the three of ternary weights. */
interface LowBits {
  readonly weights: number;
  readonly activations: number;
  readonly codes: readonly [number, number];
  readonly odd?: boolean;
  readonly dtype: "int4" | "int2";
}

const four: Pick<LowBits, "weights" | "codes" | "odd" | "dtype"> = { weights: 4, codes: [-8, 7], dtype: "int4" };
const three: typeof four = { weights: 3, codes: [-4, 3], dtype: "int4" };
/** Of four codes, one at zero would leave one side with a single other. */
const two: typeof four = { weights: 2, codes: [-3, 3], odd: true, dtype: "int2" };
const ternary: typeof four = { weights: 1.58, codes: [-1, 1], dtype: "int2" };

const LOW_BITS: readonly LowBits[] = [
  { ...four, activations: 8 },
  { ...four, activations: 4 },
  { ...three, activations: 8 },
  { ...three, activations: 3 },
  { ...two, activations: 8 },
  { ...two, activations: 4 },
  { ...two, activations: 2 },
  { ...ternary, activations: 8 },
];

/** Operator sets that brought the types (ONNX operator Cast). */
const LOW_BITS_OPSET = { int4: 21, int2: 25 } as const;

/** 8-bit activations as in w8a8, fewer as the lowest codes of uint8. */
const unsigned = (bits: number): Scheme => ({
  ...perTensor("uint8", false),
  ...(bits < 8 ? { codes: [0, 2 ** bits - 1] } : {}),
});

const lowBits = ({ weights, activations, codes, odd, dtype }: LowBits): NamedScheme => ({
  name: `w${weights}a${activations}`,
  summary: `weights ${weights === 1.58 ? "ternary" : `${weights} bit`} per channel, activations ${activations} bit, computed like w8a8: smaller files${weights < 4 || activations < 8 ? ", meant for trained models" : ""}; needs data`,
  bits: weights,
  static: {
    activations: unsigned(activations),
    weights: { ...perAxis(dtype), codes, ...(odd && { odd }) },
    algorithm: "mse",
  },
  steps: [tables, { ...storedInt8, ops: ["Gather", "ConvTranspose"] }],
  opset: LOW_BITS_OPSET[dtype],
});

const FEWBIT: readonly NamedScheme[] = [
  {
    name: "w8a8",
    summary: "weights int8 per channel, activations uint8 with calibrated ranges: fastest on CPUs, needs data",
    bits: 8,
    static: { activations: perTensor("uint8", false), weights: perAxis("int8"), algorithm: "rtn" },
    steps: [tables, { ...storedInt8, ops: ["Gather", "ConvTranspose"] }],
    opset: 13,
  },
  ...LOW_BITS.map(lowBits),
  {
    name: "w8a8-dynamic",
    summary: "weights int8 per channel, activations uint8 with ranges found at run time: no data needed, for MatMul",
    bits: 8,
    steps: [
      { form: "dynamic", scheme: perAxis("int8"), algorithm: "rtn", ops: ["MatMul", "Gemm"] },
      tables,
      storedInt8,
    ],
    opset: 13,
  },
  {
    name: "w8",
    summary: "weights 8 bit in groups, float32 between nodes: smaller with next to no loss",
    bits: 8,
    steps: [nbits("uint8", 16, true, "rtn"), tables, storedInt8],
    opset: 13,
  },
  {
    name: "w4",
    summary: "weights 4 bit in groups (MatMulNBits): small and fast for one row at a time",
    bits: 4,
    steps: [nbits("uint4", 32, false, "mse"), tables, storedInt8],
    opset: 13,
  },
  {
    name: "w2",
    summary: "weights 2 bit in groups (MatMulNBits): smallest, loses accuracy without training",
    bits: 2,
    steps: [nbits("uint2", 32, false, "mse"), tables, storedInt8],
    opset: 13,
  },
  {
    name: "nf4",
    summary: "weights 4 bit NormalFloat codebook in groups of 64 (MatMulBnb4): small, slower than float on CPUs",
    bits: 4,
    steps: [{ form: "bnb4", scheme: codebook("nf4"), algorithm: "nf4" }, tables, storedInt8],
    opset: 13,
  },
  {
    name: "fp16",
    summary: "everything float16, inputs and outputs stay float32: half the size, for GPUs",
    bits: 16,
    steps: [],
    float16: "fewbit",
  },
];

const OWN_NAMES: ReadonlySet<string> = new Set(FEWBIT.map(({ name }) => name));

const byName = (rows: readonly NamedScheme[]): ReadonlyMap<string, NamedScheme> =>
  new Map(rows.map((row) => [row.name, row]));

/**
 * All schemes by container and name. Those of ONNX: fewbit's own, then those that transformers.js knows. `fp16` is
 * fewbit's: it clamps no weight.
 */
export const SCHEMES: Readonly<Record<GraphContainer, ReadonlyMap<string, NamedScheme>>> = {
  onnx: byName([...FEWBIT, ...TRANSFORMERS_JS.filter(({ name }) => !OWN_NAMES.has(name))]),
  tflite: byName(TFLITE_SCHEMES),
};

/** Names of schemes in any container. */
export const SCHEME_NAMES: readonly string[] = [
  ...new Set(Object.values(SCHEMES).flatMap((schemes) => [...schemes.keys()])),
];

/** Names of transformers.js that nobody can write say why themselves. */
const NOT_WRITTEN = new Set(["fp32", "q1", "q1f16"]);

/** Refuses a name that is that of no scheme in any container, with the list of those there are. */
export function checkSchemeName(name: string): void {
  if (NOT_WRITTEN.has(name)) transformersJsScheme(name);
  if (!SCHEME_NAMES.includes(name))
    fail("usage", `unknown scheme "${name}"${didYouMean(name, SCHEME_NAMES)} (known: ${SCHEME_NAMES.join(", ")})`);
}

/** The scheme of that name for a container; one it does not have is refused with the list of those it has. */
export function schemeNamed(name: string, container: GraphContainer = "onnx"): NamedScheme {
  checkSchemeName(name);
  const schemes = SCHEMES[container];
  return (
    schemes.get(name) ??
    fail(
      "usage",
      `scheme ${name} is not for ${CONTAINER_LABELS[container]} models; those take ${[...schemes.keys()].join(", ")}`,
    )
  );
}

/** Containers as people write them. */
export const CONTAINER_LABELS: Readonly<Record<GraphContainer, string>> = { onnx: "ONNX", tflite: "TFLite" };
