/** Ops that bring values to a mean of 0 and a deviation of 1. `d` is the gradient of the output. */
import { floatAttribute, intAttribute, intsAttribute } from "../../ir/attributes.ts";
import type { Node } from "../../ir/model.ts";
import { castTo, countRatio, expandLike, reshapeLike, reshapeTo, unbroadcast } from "../forms.ts";
import { incoming, type Rule, type RuleContext, type Rules } from "../rule.ts";
import { range, scalingRules } from "./scaling.ts";

/** Averages over fixed axes of values of one shape. */
interface Averaging {
  /** Mean of a value, lengths of 1 where it was taken. */
  readonly mean: (value: string) => string;
  /** What each element of a mean passes back to the elements it was taken of. */
  readonly share: (gradient: string) => string;
}

function averaging(context: RuleContext, x: string, axes: readonly number[]): Averaging {
  const { emit, ints } = context;
  const sum = (value: string) => emit("ReduceSum", [value, ints(axes)], { keepdims: 1 });
  let found: string | undefined;
  const count = (summed: string): string => {
    found ??= countRatio(context, x, summed, context.dtype(x));
    return found;
  };
  const share = (value: string) => emit("Div", [value, count(value)]);
  return { mean: (value) => share(sum(value)), share };
}

/** (x - mean) / deviation; without a mean where `centered` is false. The statistics are computed again. */
interface Standard {
  readonly normal: string;
  readonly deviation: string;
  readonly centered: boolean;
}

const epsilonOf = (node: Node, context: RuleContext): string =>
  context.scalar(Math.fround(floatAttribute(node, "epsilon", 1e-5)), context.dtype(node.inputs[0]!));

function standard(context: RuleContext, x: string, epsilon: string, { mean }: Averaging, centered = true): Standard {
  const { emit } = context;
  const around = centered ? emit("Sub", [x, mean(x)]) : x;
  const deviation = emit("Sqrt", [emit("Add", [mean(emit("Mul", [around, around])), epsilon])]);
  return { normal: emit("Div", [around, deviation]), deviation, centered };
}

/** Gradient of x from that of its standardized form: both statistics depend on every element. */
function throughStandard(context: RuleContext, d: string, { normal, deviation, centered }: Standard, by: Averaging) {
  const { emit } = context;
  const own = centered ? emit("Sub", [d, by.mean(d)]) : d;
  const along = emit("Mul", [normal, by.mean(emit("Mul", [d, normal]))]);
  return emit("Div", [emit("Sub", [own, along]), deviation]);
}

/** The axes from `axis` on, counted from the end where the node does. */
function lastAxes(node: Node, context: RuleContext): readonly number[] {
  const axis = intAttribute(node, "axis", -1);
  return axis < 0 ? range(axis, 0) : range(axis, context.rank(node.inputs[0]!));
}

/** Mean and 1 / deviation may be outputs, always of float32, with gradients of their own. */
function fromStatistics(context: RuleContext, x: string, { normal, deviation }: Standard, by: Averaging) {
  const { emit } = context;
  const dtype = context.dtype(x);
  const [mean, inverse] = [1, 2].map((output) => {
    const gradient = context.gradient(output);
    return gradient === undefined || dtype === "float32" ? gradient : castTo(context, gradient, dtype);
  });
  const forMean = () => expandLike(context, by.share(mean!), normal);
  const slope = () => emit("Neg", [emit("Div", [by.share(inverse!), emit("Mul", [deviation, deviation])])]);
  return [...(mean ? [forMean()] : []), ...(inverse ? [emit("Mul", [slope(), normal])] : [])];
}

/** Ba, Kiros and Hinton, arXiv:1607.06450; without the mean Zhang and Sennrich, arXiv:1910.07467. */
const rowNorm =
  (centered: boolean): Rule =>
  (node, context) => {
    const { emit } = context;
    if (!centered && context.gradient(1) !== undefined) context.refuse("only its first output can have a gradient");
    const [x = "", scale = "", bias = ""] = node.inputs;
    const y = node.outputs[0]!;
    const by = averaging(context, x, lastAxes(node, context));
    const form = standard(context, x, epsilonOf(node, context), by, centered);
    const d = context.gradient(0);
    const parts = d === undefined ? [] : [throughStandard(context, emit("Mul", [d, scale]), form, by)];
    const all = context.wants(0) ? [...parts, ...fromStatistics(context, x, form, by)] : [];
    const affine = (index: number, make: () => string) =>
      d !== undefined && context.wants(index) ? unbroadcast(context, make(), node.inputs[index]!, y) : undefined;
    return [
      all.length > 1 ? emit("Sum", all) : all[0],
      affine(1, () => emit("Mul", [d!, form.normal])),
      bias === "" ? undefined : affine(2, () => d!),
    ];
  };

/** Channel vectors as [C, 1, ...], which is broadcast over samples and positions of `x`. */
function channelShape({ emit, ints, dims }: RuleContext, x: string): string {
  const rank = dims(x)?.length;
  if (rank !== undefined) return ints([-1, ...range(2, rank).map(() => 1)]);
  const length = emit("Shape", [emit("Shape", [x])]);
  return emit("Concat", [ints([-1]), emit("Expand", [ints([1]), emit("Sub", [length, ints([2])])])], { axis: 0 });
}

/** Sum over everything but the channels, as a vector. */
function channelSum(context: RuleContext, value: string, x: string): string {
  const axes = range(0, context.rank(x)).filter((axis) => axis !== 1);
  return context.emit("ReduceSum", [value, context.ints(axes)], { keepdims: 0 });
}

/** Standardized over some axes, then scaled and shifted by one number for each channel. */
function channelNorm(node: Node, context: RuleContext, axes: readonly number[]): readonly (string | undefined)[] {
  const { emit } = context;
  const d = incoming(context);
  const [x = "", scale = ""] = node.inputs;
  const by = averaging(context, x, axes);
  const form = standard(context, x, epsilonOf(node, context), by);
  const weighted = () => emit("Mul", [d, emit("Reshape", [scale, channelShape(context, x)])]);
  return [
    context.wants(0) ? throughStandard(context, weighted(), form, by) : undefined,
    context.wants(1) ? channelSum(context, emit("Mul", [d, form.normal]), x) : undefined,
    context.wants(2) ? channelSum(context, d, x) : undefined,
  ];
}

/** Ulyanov, Vedaldi and Lempitsky, arXiv:1607.08022: every channel of every sample alone. */
const instanceNorm: Rule = (node, context) => channelNorm(node, context, range(2, context.rank(node.inputs[0]!)));

/**
 * Wu and He, arXiv:1803.08494. The scale has one number for each group (operator set 18) or channel (21): the channels are
 * split into as many runs as it has numbers.
 */
const groupNorm: Rule = (node, context) => {
  const { emit, ints } = context;
  const d = incoming(context);
  const [x = "", scale = ""] = node.inputs;
  const size =
    context.shape(scale)?.[0] ?? context.refuse(`the length of its scale "${scale}" is not known; declare it`);
  const split = (value: string, parts: number) => emit("Reshape", [value, ints([0, parts, -1])]);
  const groups = (value: string) => split(value, intAttribute(node, "num_groups", 1));
  const rows = groups(x);
  const by = averaging(context, rows, [2]);
  const form = standard(context, rows, epsilonOf(node, context), by);
  const runs = split(d, size);
  const weighted = () => groups(emit("Mul", [runs, emit("Reshape", [scale, ints([-1, 1])])]));
  const sum = (value: string) => emit("ReduceSum", [value, ints([0, 2])], { keepdims: 0 });
  return [
    context.wants(0) ? reshapeLike(context, throughStandard(context, weighted(), form, by), x) : undefined,
    context.wants(1) ? sum(emit("Mul", [runs, split(form.normal, size)])) : undefined,
    context.wants(2) ? sum(runs) : undefined,
  ];
};

/** Keeps the division by a deviation of 0 finite, as the op does (ONNX operator MeanVarianceNormalization). */
const VARIANCE_FLOOR = 1e-18;

const meanVariance: Rule = (node, context) => {
  const x = node.inputs[0]!;
  const by = averaging(context, x, intsAttribute(node, "axes") ?? [0, 2, 3]);
  const form = standard(context, x, context.scalar(VARIANCE_FLOOR, context.dtype(x)), by);
  return [throughStandard(context, incoming(context), form, by)];
};

/** Ioffe and Szegedy, arXiv:1502.03167, with the statistics of the batch; the running ones get no gradient. */
function batchStatistics(node: Node, context: RuleContext): readonly (string | undefined)[] {
  if (context.gradient(1) ?? context.gradient(2)) context.refuse("its running statistics can't have a gradient");
  const axes = range(0, context.rank(node.inputs[0]!)).filter((axis) => axis !== 1);
  return channelNorm(node, context, axes);
}

/** At inference mean and variance are inputs like any other. */
const batchNorm: Rule = (node, context) => {
  if (intAttribute(node, "training_mode", 0) !== 0) return batchStatistics(node, context);
  const { emit, scalar } = context;
  const [d, x, y] = [incoming(context), node.inputs[0]!, node.outputs[0]!];
  const dtype = context.dtype(x);
  const shape = channelShape(context, x);
  const [scale, , mean, variance] = node.inputs.slice(1).map((name) => emit("Reshape", [name, shape])) as string[];
  const deviation = emit("Sqrt", [emit("Add", [variance!, epsilonOf(node, context)])]);
  const normal = emit("Div", [emit("Sub", [x, mean!]), deviation]);
  const forX = emit("Mul", [d, emit("Div", [scale!, deviation])]);
  const forVariance = () => emit("Div", [emit("Mul", [emit("Mul", [forX, normal]), scalar(-0.5, dtype)]), deviation]);
  const channels = (value: string, index: number) =>
    reshapeTo(context, unbroadcast(context, value, scale!, y), emit("Shape", [node.inputs[index]!]));
  const parts = [() => emit("Mul", [d, normal]), () => d, () => emit("Neg", [forX]), forVariance];
  return [forX, ...parts.map((part, at) => (context.wants(at + 1) ? channels(part(), at + 1) : undefined))];
};

export const normalizationRules: Rules = {
  LayerNormalization: rowNorm(true),
  RMSNormalization: rowNorm(false),
  SimplifiedLayerNormalization: rowNorm(false),
  InstanceNormalization: instanceNorm,
  GroupNormalization: groupNorm,
  BatchNormalization: batchNorm,
  MeanVarianceNormalization: meanVariance,
  ...scalingRules,
};
