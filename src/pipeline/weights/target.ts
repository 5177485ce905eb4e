/** Plans a GGUF model of a given size: types are chosen tensor by tensor so that the measured errors add up to the least. */
import { aligned, alignmentOf } from "../../containers/gguf/index.ts";
import { type StoredTensor, storedBytes, type TensorFile } from "../../ir/tensor-file.ts";
import type { GgmlFormatName } from "../../kernels/ggml/index.ts";
import { elementCount } from "../../numeric/dtypes.ts";
import { fail } from "../../numeric/errors.ts";
import { isBlockType } from "../../numeric/ggml-types.ts";
import { type Allocation, allocate, type KnapsackOption, smallestSize } from "../../numeric/knapsack.ts";
import { type Choice, candidateTypes, decidedTypes, errorWeights, nearestFileType } from "../../recipes/ggml/index.ts";
import { type Hooks, noHooks, stopIfAborted } from "../progress.ts";
import { bitsPerWeight } from "./bits.ts";
import { digestOf, type MeasuredErrors, measureErrors, readSample, type TypeErrors } from "./errors.ts";
import {
  formatOf,
  orderedTensors,
  type PlanWeightsOptions,
  planChoices,
  refuseOthers,
  storageOf,
  type WeightsPlan,
} from "./plan.ts";
import { importanceFor } from "./work.ts";

/** The most that a file may take: bytes of all of it, or bits of its tensors for each weight. */
export type SizeTarget = { readonly bytes: number } | { readonly bitsPerWeight: number };

/** How a file of a given size is planned; `pure` has no meaning here. */
export interface PlanTargetOptions extends PlanWeightsOptions {
  /** Types to choose from; tensors whose rows fit none of them get what fits. */
  readonly types?: readonly GgmlFormatName[];
  /** Which rows are measured. */
  readonly seed?: number;
  /** Errors that were measured before, by tensor; used where the sample is the same. */
  readonly measured?: ReadonlyMap<string, MeasuredErrors>;
  /** Told of every tensor's errors, measured or known. */
  readonly onMeasured?: (tensor: string, errors: MeasuredErrors) => Promise<void> | void;
  readonly hooks?: Hooks;
}

/** A plan, and how good it is. */
export interface TargetPlan extends WeightsPlan {
  /** Bytes that the file may take at most. */
  readonly target: number;
  /** Mean of noise over signal of the tensors that were chosen for, each with its weight: what was made least. */
  readonly error: number;
  /** No choice of the same types within the size has a mean below this. */
  readonly bound: number;
}

/** A tensor that a type is to be found for. */
interface Open {
  readonly tensor: StoredTensor;
  /** Place among the ordered tensors. */
  readonly place: number;
  readonly types: readonly GgmlFormatName[];
  readonly options: readonly KnapsackOption[];
  readonly weight: number;
}

/** Types that compete; those that are quantized already stay unless that is allowed. */
function typesFor(tensor: StoredTensor, options: PlanTargetOptions): readonly GgmlFormatName[] {
  const own = formatOf(tensor);
  if (isBlockType(tensor.type) && options.requantize !== true) return [own];
  const hasImportance = options.importance?.matrix.entries.has(tensor.name) ?? false;
  const kind = { name: tensor.name, columns: tensor.shape.at(-1) ?? 1, hasImportance };
  // the type it has comes first, so that it wins among equals
  return [...new Set([...(options.types ? [] : [own]), ...candidateTypes(kind, options.types)])];
}

async function errorsOf(tensor: StoredTensor, types: readonly GgmlFormatName[], options: PlanTargetOptions) {
  const { seed = 0, importance, measured } = options;
  const sample = await readSample(tensor, seed, await importanceFor(tensor, importance));
  const digest = await digestOf(sample);
  const before = measured?.get(tensor.name);
  const known = digest !== "" && before?.digest === digest ? before.errors : {};
  const fresh = measureErrors(
    sample,
    types.filter((type) => known[type] === undefined),
  );
  return { digest, errors: { ...known, ...fresh } };
}

/** What turns measured errors into sizes and costs. */
interface Measure {
  readonly alignment: number;
  readonly weightOf: (tensor: StoredTensor) => number;
}

function openOf(
  tensor: StoredTensor,
  place: number,
  wanted: readonly GgmlFormatName[],
  errors: TypeErrors,
  { alignment, weightOf }: Measure,
): Open {
  const types = wanted.filter((type) => errors[type] !== undefined);
  if (types.length === 0)
    fail(
      "data",
      `tensor "${tensor.name}": its values are too large for ${wanted.join(", ")}; leave it out with --keep`,
    );
  const weight = weightOf(tensor);
  const bytes = (type: GgmlFormatName) => storedBytes(storageOf(type), tensor.shape, `tensor "${tensor.name}"`);
  const options = types.map((type) => ({ size: aligned(bytes(type), alignment), cost: weight * errors[type]! }));
  return { tensor, place, types, options, weight };
}

/** Measures every tensor that a type is to be found for. */
async function measureAll(
  tensors: readonly StoredTensor[],
  decided: readonly (Choice | undefined)[],
  alignment: number,
  options: PlanTargetOptions,
): Promise<readonly Open[]> {
  const { progress, signal } = options.hooks ?? noHooks;
  const measure: Measure = { alignment, weightOf: errorWeights(tensors) };
  const free = [...tensors.entries()].filter(([place]) => decided[place] === undefined);
  const step = progress.step("measuring errors, tensors", free.length);
  const open: Open[] = [];
  for (const [place, tensor] of free) {
    stopIfAborted(signal);
    const types = typesFor(tensor, options);
    const measured = await errorsOf(tensor, types, options);
    await options.onMeasured?.(tensor.name, measured);
    open.push(openOf(tensor, place, types, measured.errors, measure));
    step.tick(1, tensor.name);
  }
  step.done();
  return open;
}

const percent = (error: number): string => (error === 0 ? "exact" : `error ${(100 * error).toPrecision(3)} %`);

function choiceOf({ tensor, types, options, weight }: Open, index: number): Choice {
  const type = types[index]!;
  if (type === formatOf(tensor)) return { reason: "stays as it is" };
  return { type, reason: percent(options[index]!.cost / weight) };
}

/** The type that most values are stored in. */
function mostFrequent(open: readonly Open[], choices: readonly number[]): GgmlFormatName {
  const counts = new Map<GgmlFormatName, number>();
  open.forEach(({ tensor, types }, i) => {
    const type = types[choices[i]!]!;
    counts.set(type, (counts.get(type) ?? 0) + elementCount(tensor.shape));
  });
  return [...counts].reduce((best, each) => (each[1] > best[1] ? each : best), ["f16", 0] as const)[0];
}

/** Weights of a file: the values of all of its tensors. */
const parametersOf = ({ tensors }: TensorFile): number =>
  [...tensors.values()].reduce((sum, { shape }) => sum + elementCount(shape), 0);

/** What would make smaller files possible. */
function remedies({ importance, requantize, types }: PlanTargetOptions, { tensors }: WeightsPlan): readonly string[] {
  const isQuantized = tensors.some(({ from, to }) => isBlockType(from) && from === to);
  return [
    ...(types === undefined && importance === undefined
      ? ["give an importance matrix, which allows types of fewer bits"]
      : []),
    ...(types === undefined ? [] : ["allow smaller types"]),
    ...(isQuantized && !requantize ? ["allow --requantize for what is quantized already"] : []),
    "choose a larger size",
  ];
}

function unreachable(target: number, least: WeightsPlan, options: PlanTargetOptions): never {
  const bits = bitsPerWeight(least.tensors).toFixed(2);
  const [last, ...others] = [...remedies(options, least)].reverse();
  const remedy = others.length === 0 ? last : `${others.reverse().join(", ")}, or ${last}`;
  return fail(
    "usage",
    `a file of ${target} bytes can't be made: the smallest has ${least.size} bytes, ${bits} bits for each weight; ${remedy}`,
  );
}

/** Bits that a weight may have at most: more than any element takes. */
const MAX_BITS = 64;

function checkTarget(target: SizeTarget): void {
  const [value, most] = "bytes" in target ? [target.bytes, Number.MAX_SAFE_INTEGER] : [target.bitsPerWeight, MAX_BITS];
  if (!(value > 0 && value <= most))
    fail(
      "usage",
      `a target of ${value} ${"bytes" in target ? "bytes" : "bits for each weight"}: expected more than 0, at most ${most}`,
    );
}

/** Another try takes back what the headers of further files took; more tries than this were never needed. */
const MAX_TRIES = 16;

/**
 * Measures what each type costs each tensor, and chooses types so that the errors are least and the file, headers and
 * padding included, takes no more than the target. Fails with code "usage" where even the smallest types take more, and
 * as `planWeights` does.
 */
export async function planTarget(
  file: TensorFile,
  target: SizeTarget,
  options: PlanTargetOptions = {},
): Promise<TargetPlan> {
  refuseOthers(file, "a target size");
  checkTarget(target);
  if (options.pure) fail("usage", "--pure gives all tensors one type, and a target size chooses them; leave one out");
  const tensors = orderedTensors(file);
  const alignment = alignmentOf(file.metadata);
  const decided = decidedTypes(tensors, options);
  const open = await measureAll(tensors, decided, alignment, options);
  const items = open.map((each) => each.options);

  const planOf = (choices: readonly number[]): WeightsPlan => {
    const all = [...decided];
    open.forEach((each, i) => {
      all[each.place] = choiceOf(each, choices[i]!);
    });
    return planChoices(file, nearestFileType(mostFrequent(open, choices)), all as readonly Choice[], options);
  };
  const smallest = allocate(items, smallestSize(items))!;
  const least = planOf(smallest.choices);
  const fixed = least.size - smallest.size;
  const parameters = parametersOf(file);
  const stored = least.tensors.reduce((sum, { after }) => sum + aligned(after, alignment), 0);
  const most =
    "bytes" in target ? target.bytes : least.size - stored + Math.floor((target.bitsPerWeight * parameters) / 8);
  if (least.size > most) unreachable(most, least, options);

  let budget = most - fixed;
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const found = allocate(items, budget);
    if (found === undefined) break;
    const plan = planOf(found.choices);
    if (plan.size <= most) return { ...plan, target: most, ...quality(open, found) };
    budget -= plan.size - most;
  }
  return { ...least, target: most, ...quality(open, smallest) };
}

function quality(open: readonly Open[], { cost, bound }: Allocation): Pick<TargetPlan, "error" | "bound"> {
  const weight = open.reduce((sum, each) => sum + each.weight, 0);
  return { error: cost / Math.max(weight, Number.MIN_VALUE), bound: bound / Math.max(weight, Number.MIN_VALUE) };
}
