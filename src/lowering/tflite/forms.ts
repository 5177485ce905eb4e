/** The weight-only forms of TFLite: which nodes they fit and what they store. `lowerTflite` writes them. */
import { dialectOf } from "../../ir/dialects.ts";
import type { Scheme } from "../../ir/scheme.ts";
import { byteLength, elementCount } from "../../numeric/dtypes.ts";
import type { FormRow, Site, WeightFit } from "../form.ts";

/** The constant float weight of a node, or why there is none. */
function weightOf(site: Site): WeightFit | string {
  const { node, constant } = site;
  const rows = dialectOf(site.model).row(node)?.weights ?? [];
  if (rows.length === 0) return `${node.op} has no weights that are known`;
  const row = rows.find(({ input }) => constant(node.inputs[input] ?? "") !== undefined);
  if (row === undefined) return "weight is not constant";
  const { name, dtype, shape } = constant(node.inputs[row.input]!)!;
  if (dtype !== "float32") return `weight "${name}" is ${dtype}, expected float32`;
  if (shape.length < 2 || elementCount(shape) === 0) return `weight "${name}" has shape [${shape}]`;
  return { tensor: name, input: row.input, shape, axis: row.axis(node, shape.length) };
}

/** A float32 scale and an int64 zero point. */
const BYTES_PER_GRID = 4 + 8;
/** A block has a float16 scale and no zero point. */
const BYTES_PER_BLOCK = 2;

/** Bytes of scales and zero points. */
function gridBytes({ shape, axis }: WeightFit, { dtype, granularity }: Scheme): number {
  if (granularity.per === "group") return (BYTES_PER_BLOCK * elementCount(shape)) / granularity.size;
  if (dtype === "float16") return 0;
  return BYTES_PER_GRID * (granularity.per === "axis" ? shape[axis]! : 1);
}

const storedBytes = (fit: WeightFit, scheme: Scheme): number =>
  byteLength(scheme.dtype, elementCount(fit.shape)) + gridBytes(fit, scheme);

/** The weight where a kernel takes it beside float activations, or why none does. */
function hybridFit(site: Site, { dtype, granularity }: Scheme): WeightFit | string {
  const { op } = site.node;
  const { hybrid = [], blocks = [] } = dialectOf(site.model).row(site.node) ?? {};
  if (!hybrid.includes(dtype)) return `${op} has no kernel for float activations and ${dtype} weights`;
  const fit = weightOf(site);
  if (typeof fit === "string" || granularity.per !== "group") return fit;
  const { size } = granularity;
  if (!blocks.includes(size)) return `${op} has no kernel for weights in groups of ${size}`;
  const length = fit.shape.at(-1)!;
  return length % size === 0 ? fit : `groups of ${size} do not divide its ${length} inputs`;
}

export const hybridForm: FormRow = {
  form: "hybrid",
  summary: "weights as codes, activations quantized by the kernel in each run",
  fits: hybridFit,
  storedBytes,
};

export const dequantizeForm: FormRow = {
  form: "dequantize",
  summary: "weights as codes or halves in the file, decoded to float in front of the kernel",
  fits: weightOf,
  storedBytes,
};
