/** The named schemes: `fewbit quantize -s NAME`. One row holds all that is known of a name. */
import type { Codebook, Scheme } from "../ir/scheme.ts";
import type { DType } from "../numeric/dtypes.ts";
import { fail } from "../numeric/errors.ts";
import { didYouMean } from "../numeric/suggest.ts";
import type { NamedScheme, Step } from "./named-scheme.ts";
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

const FEWBIT: readonly NamedScheme[] = [
  {
    name: "w8a8",
    summary: "weights int8 per channel, activations uint8 with calibrated ranges: fastest on CPUs, needs data",
    bits: 8,
    static: { activations: perTensor("uint8", false), weights: perAxis("int8") },
    steps: [tables, { ...storedInt8, ops: ["Gather", "ConvTranspose"] }],
    opset: 13,
  },
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

/** All schemes by name: fewbit's own, then those that transformers.js knows. `fp16` is fewbit's: it clamps no weight. */
export const SCHEMES: ReadonlyMap<string, NamedScheme> = new Map(
  [...FEWBIT, ...TRANSFORMERS_JS.filter(({ name }) => !OWN_NAMES.has(name))].map((row) => [row.name, row]),
);

/** Names of transformers.js that nobody can write say why themselves. */
const NOT_WRITTEN = new Set(["fp32", "q1", "q1f16"]);

/** The scheme of that name; an unknown one is refused with the list of those there are. */
export function schemeNamed(name: string): NamedScheme {
  const found = SCHEMES.get(name);
  if (found !== undefined) return found;
  if (NOT_WRITTEN.has(name)) return transformersJsScheme(name);
  const names = [...SCHEMES.keys()];
  return fail("usage", `unknown scheme "${name}"${didYouMean(name, names)} (known: ${names.join(", ")})`);
}
