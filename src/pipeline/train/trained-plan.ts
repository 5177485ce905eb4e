/** From a model that was trained in integers to the plan that writes just the codes it was trained with. */
import { withGraph, withTensors } from "../../ir/edit.ts";
import type { Model, Tensor } from "../../ir/model.ts";
import type { NodePlan } from "../../ir/plan.ts";
import type { QParams, Scheme } from "../../ir/scheme.ts";
import { bytesSource, readAll } from "../../ir/source.ts";
import { bytesOf, decodeFloats } from "../../numeric/convert.ts";
import { elementCount } from "../../numeric/dtypes.ts";
import { roundHalfEven } from "../../numeric/rounding.ts";
import { DEFAULT_OBSERVER, type Recipe } from "../../recipes/recipe.ts";
import { channelScales, WEIGHT_FORMATS, type WeightFormatName } from "../../train/low-precision/formats.ts";
import { parametersOf } from "../../train/qat/parameters.ts";
import { withConstantRanges } from "../constant-ranges.ts";
import type { Host } from "../host.ts";
import { type MakeInput, type Planned, planFor } from "../make.ts";
import { planModel } from "../plan.ts";

const KEPT = "it was trained in float32";

/** Training has spread codes over the whole range of a batch; so does the file, unless another observer was named. */
const withWholeRanges = (recipe: Recipe): Recipe =>
  recipe.observer === DEFAULT_OBSERVER ? { ...recipe, observer: "min-max" } : recipe;

/** The plan in which just the products that were integers in training are quantized. */
async function planTrained(
  host: Host,
  model: Model,
  input: Pick<MakeInput, "recipe" | "evaluation">,
  integer: ReadonlySet<string>,
): Promise<Planned> {
  const recipe = withWholeRanges(input.recipe);
  const { prepared, plan } = await planFor(model, recipe, host, input.evaluation.data);
  const floats = new Set(parametersOf(model.graph).filter((name) => !integer.has(name)));
  const others = plan.nodes.filter(({ weight }) => weight !== undefined && floats.has(weight.tensor));
  const rule = { match: { node: others.map(({ node }) => node) }, scheme: "keep", reason: KEPT };
  if (others.length === 0) return { prepared, plan };
  const kept = planModel(prepared, { ...recipe, rules: [...recipe.rules, rule] });
  return { prepared, plan: await withConstantRanges(kept, prepared) };
}

const valuesOf = async (tensor: Tensor): Promise<Float32Array> =>
  decodeFloats(await readAll(tensor.data), tensor.dtype);

interface Grid {
  readonly qparams: QParams;
  /** Codes times scales: what the products saw. */
  readonly seen: Tensor;
}

/** The grid that training has rounded a weight to. */
async function gridOf(tensor: Tensor, axis: number, name: WeightFormatName): Promise<Grid> {
  const format = WEIGHT_FORMATS[name];
  const { shape } = tensor;
  const values = await valuesOf(tensor);
  const scale = channelScales(values, shape, axis, format);
  const inner = elementCount(shape.slice(axis + 1));
  const [low, high] = format.codes;
  const seen = values.map((value, index) => {
    const step = scale[Math.floor(index / inner) % scale.length]!;
    return Math.min(Math.max(roundHalfEven(Math.fround(value / step)), low), high) * step;
  });
  return {
    qparams: { scale, zeroPoint: new Int32Array(scale.length) },
    seen: { ...tensor, data: bytesSource(bytesOf(seen)) },
  };
}

/** The scheme with the codes of the training, which knows no odd ones. */
const schemeOf = ({ odd, ...scheme }: Scheme, format: WeightFormatName): Scheme =>
  odd ? { ...scheme, codes: WEIGHT_FORMATS[format].codes } : scheme;

/** Weights as the products saw them, and their grids in the plan. */
async function onGrids(
  { prepared, plan }: Planned,
  format: WeightFormatName,
  integer: ReadonlySet<string>,
): Promise<Planned> {
  const { graph } = prepared;
  const seen = new Map<string, Tensor>();
  const nodes: NodePlan[] = [];
  for (const entry of plan.nodes) {
    const { weight } = entry;
    const tensor = weight && graph.tensors.get(weight.tensor);
    if (weight === undefined || tensor === undefined || !integer.has(tensor.name)) {
      nodes.push(entry);
      continue;
    }
    const grid = await gridOf(tensor, weight.axis, format);
    seen.set(tensor.name, grid.seen);
    const scheme = schemeOf(weight.scheme, format);
    nodes.push({ ...entry, weight: { ...weight, scheme, qparams: grid.qparams } });
  }
  return { prepared: withGraph(prepared, withTensors(graph, [...seen.values()])), plan: { ...plan, nodes } };
}

/**
 * The trained model as its products saw it, and the plan with its grids. `integer` names the weights of products that were
 * integers; all other weights stay float32.
 */
export async function trainedPlan(
  host: Host,
  model: Model,
  input: Pick<MakeInput, "recipe" | "evaluation">,
  format: WeightFormatName,
  integer: ReadonlySet<string>,
): Promise<Planned> {
  return onGrids(await planTrained(host, model, input, integer), format, integer);
}
