/** The tensors one weight becomes in the weight-only forms: computed when they are written, from one read of the weight. */
import type { AlgorithmRow, Codes, Weights } from "../algorithms/algorithm.ts";
import { algorithmNamed } from "../algorithms/index.ts";
import { graphs } from "../ir/edit.ts";
import type { Model, Node, Tensor } from "../ir/model.ts";
import type { NodePlan } from "../ir/plan.ts";
import type { QParams, Scheme } from "../ir/scheme.ts";
import { type ByteSource, computedSource, readAll } from "../ir/source.ts";
import { decodeFloats, encodeFloats } from "../numeric/convert.ts";
import { byteLength, type DType, elementCount } from "../numeric/dtypes.ts";
import { fail } from "../numeric/errors.ts";
import { countNonFinite } from "../numeric/metrics.ts";
import type { LowerContext, WeightFit } from "./form.ts";
import { quantizeGiven, weightKey } from "./given.ts";

export type PlannedWeight = NonNullable<NodePlan["weight"]>;

/** One stored tensor of a quantized weight. */
export interface Part {
  /** Behind the name of the weight: "_Q4". */
  readonly suffix: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Its bytes; scales are encoded as the weight's own type. */
  readonly of: "codes" | "scales" | "zeroPoints";
}

/** Bytes of all parts. */
export const partBytes = (parts: readonly Part[]): number =>
  parts.reduce((sum, { dtype, shape }) => sum + byteLength(dtype, elementCount(shape)), 0);

/** Types of weights the engine's kernels take; their scales have the same type. */
export const isWeightType = (dtype: DType): dtype is Weights["dtype"] => dtype === "float32" || dtype === "float16";

/** Why a constant can't be turned into codes, or undefined. */
export function unfit(weight: Tensor | undefined): string | undefined {
  if (weight === undefined) return "weight is not constant";
  if (!isWeightType(weight.dtype)) return `weight is ${weight.dtype}, not float32 or float16`;
  return weight.shape.includes(0) ? "weight is empty" : undefined;
}

/** A fit, unless its parts would take more bytes than the weight does. */
export function smaller(fit: WeightFit, weight: Tensor, parts: readonly Part[]): WeightFit | string {
  const after = partBytes(parts);
  const before = weight.data.size;
  return after < before ? fit : `weight is too small: ${before} bytes as it is, ${after} as codes and scales`;
}

/** Codes of one weight, computed at most once while its parts are read one after the other. */
interface Job {
  readonly weight: Tensor;
  readonly axis: number;
  readonly scheme: Scheme;
  readonly algorithm: AlgorithmRow;
  readonly given: QParams | undefined;
  readonly parts: number;
}

async function compute({ weight, axis, scheme, algorithm, given }: Job): Promise<Codes> {
  const { dtype, shape, name } = weight;
  if (!isWeightType(dtype)) return fail("unsupported", `weight "${name}" is ${dtype}, not float32 or float16`);
  const values = decodeFloats(await readAll(weight.data), dtype, elementCount(shape));
  const { nan, infinite } = countNonFinite(values);
  if (nan + infinite > 0)
    fail("data", `weight "${name}" holds ${nan} NaN and ${infinite} infinite values; keep it in float or repair it`);
  const weights: Weights = { values, shape, axis, dtype };
  return given === undefined ? algorithm.quantize(weights, scheme) : quantizeGiven(weights, scheme, given, name);
}

/** The last job and its result: a writer asks for the parts of a weight in a row, so more would only cost memory. */
let last: { readonly job: Job; readonly codes: Promise<Codes>; readonly read: Set<Part> } | undefined;

/** The codes of a job; forgotten when all its parts were read. */
async function codesFor(job: Job, part: Part): Promise<Codes> {
  if (last?.job !== job) last = { job, codes: compute(job), read: new Set() };
  const { codes, read } = last;
  read.add(part);
  if (read.size === job.parts) last = undefined;
  return codes;
}

async function partOf(job: Job, part: Part): Promise<Uint8Array> {
  const codes = await codesFor(job, part);
  if (part.of === "scales") return encodeFloats(codes.scales, part.dtype);
  return codes[part.of] ?? fail("graph", `weight "${job.weight.name}": the algorithm gave no ${part.of}`);
}

const sourceOf = (job: Job, part: Part): ByteSource =>
  computedSource(byteLength(part.dtype, elementCount(part.shape)), () => partOf(job, part));

const namesOf = new WeakMap<Model, ReadonlySet<string>>();

/** Every value and tensor name of a model; collected once per model. */
function usedNames(model: Model): ReadonlySet<string> {
  const names =
    namesOf.get(model) ??
    new Set(
      [...graphs(model.graph)].flatMap(({ graph }) => [
        ...[...graph.inputs, ...graph.outputs].map(({ name }) => name),
        ...graph.tensors.keys(),
        ...graph.nodes.flatMap(({ outputs }) => outputs),
      ]),
    );
  namesOf.set(model, names);
  return names;
}

/** Same for every node that stores the weight in the same way; different where it is stored in another. */
function baseName(context: LowerContext, weight: Tensor, key: string, parts: readonly Part[]): string {
  const taken = usedNames(context.model);
  const variant = context.variant(weight, key);
  const wish = variant === 0 ? weight.name : `${weight.name}_${variant + 1}`;
  let base = wish;
  for (let i = 1; parts.some(({ suffix }) => taken.has(base + suffix)); i++) base = `${wish}_copy${i}`;
  return base;
}

/** Adds the parts beside the float constant, once however many nodes share it; answers their names. */
export function addParts(context: LowerContext, planned: PlannedWeight, parts: readonly Part[]): readonly string[] {
  const { axis, scheme, tensor, qparams: given } = planned;
  const weight = context.constant(tensor) ?? fail("graph", `"${tensor}" is not a constant of the model`);
  const base = baseName(context, weight, weightKey(planned) + JSON.stringify([planned.algorithm, parts]), parts);
  const algorithm = algorithmNamed(planned.algorithm);
  const job: Job = { weight, axis, scheme, algorithm, given, parts: parts.length };
  return parts.map((part) => {
    const { suffix, dtype, shape } = part;
    context.add({ name: base + suffix, dtype, shape, data: sourceOf(job, part) }, tensor);
    return base + suffix;
  });
}

/** The node's name with a suffix; a node without a name stays without. */
export const namedAfter = ({ name }: Node, suffix: string): { readonly name: string } => ({
  name: name === "" ? "" : name + suffix,
});
