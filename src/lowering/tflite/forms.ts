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

/** Codes, and a float32 scale per channel. */
function storedBytes({ shape, axis }: WeightFit, { dtype, granularity }: Scheme): number {
  const scales = granularity.per === "axis" ? shape[axis]! : dtype === "float16" ? 0 : 1;
  return byteLength(dtype, elementCount(shape)) + 4 * scales;
}

const hybridKernel = ({ node, model }: Site, { dtype }: Scheme): string | undefined =>
  dialectOf(model).row(node)?.hybrid?.includes(dtype)
    ? undefined
    : `${node.op} has no kernel for float activations and ${dtype} weights`;

export const hybridForm: FormRow = {
  form: "hybrid",
  summary: "weights as codes, activations quantized by the kernel in each run",
  fits: (site, scheme) => hybridKernel(site, scheme) ?? weightOf(site),
  storedBytes,
};

export const dequantizeForm: FormRow = {
  form: "dequantize",
  summary: "weights as codes or halves in the file, decoded to float in front of the kernel",
  fits: weightOf,
  storedBytes,
};
