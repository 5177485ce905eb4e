/** What a training left behind: the model with its new weights, the plan with the scales and zero points that were learned. */
import { withGraph, withTensors } from "../../ir/edit.ts";
import type { Feeds, Model, Node, Tensor } from "../../ir/model.ts";
import type { NodePlan, Plan, ValuePlan } from "../../ir/plan.ts";
import { codesOf, type QParams } from "../../ir/scheme.ts";
import { bytesSource } from "../../ir/source.ts";
import { bytesOf } from "../../numeric/convert.ts";
import { fail } from "../../numeric/errors.ts";
import { MIN_SCALE } from "../../numeric/qparams.ts";
import { roundHalfEven } from "../../numeric/rounding.ts";
import { toMiddle } from "../ops/fake-quantize.ts";
import type { ParameterGroup } from "../step.ts";
import type { Writer } from "../writer.ts";
import { type LearnedGrid, transposed } from "./grids.ts";
import type { FakeQuantized, QatStart } from "./insert.ts";

/** Trained tensors by name: the final state of a run. */
export type Learned = Feeds;

/** `model` with the constants that were trained. */
export function withLearned(model: Model, learned: Learned): Model {
  const changed = [...model.graph.tensors.values()].flatMap((tensor): Tensor[] => {
    const found = learned[tensor.name];
    return found === undefined ? [] : [{ ...tensor, data: bytesSource(bytesOf(found.data)) }];
  });
  return withGraph(model, withTensors(model.graph, changed));
}

const floatsNamed = (learned: Learned, name: string): Float32Array =>
  (learned[name]?.data as Float32Array | undefined) ?? fail("graph", `training left no value for "${name}"`);

/** Scales and zero points of a grid as they are deployed. */
export function paramsOf({ scheme, scale, zero, movable }: LearnedGrid, learned: Learned, start: QParams): QParams {
  const [low, high] = codesOf(scheme);
  const scales = floatsNamed(learned, scale).map((log) => Math.max(Math.fround(Math.exp(log)), MIN_SCALE));
  if (zero === undefined || !movable) return { scale: scales, zeroPoint: start.zeroPoint };
  const rounded = floatsNamed(learned, zero).map((value) => Math.min(Math.max(roundHalfEven(value), low), high));
  return { scale: scales, zeroPoint: Int32Array.from(rounded) };
}

/** The grids that training ended at; a training may start from them again. */
export function learnedGrids({ values, weights }: FakeQuantized, learned: Learned, start: QatStart): QatStart {
  const ofValues = [...values].map(([name, grid]) => {
    const { zeroPoint } = start.values.get(name)!;
    const found = paramsOf(grid, learned, { scale: new Float32Array(1), zeroPoint: Int32Array.of(zeroPoint) });
    return [name, { scale: found.scale[0]!, zeroPoint: found.zeroPoint[0]! }] as const;
  });
  const ofWeights = [...weights].map(([entry, grid]) => [entry, weightParams(entry, grid, learned, start)] as const);
  const [allValues, allWeights] = [
    [...start.values, ...ofValues],
    [...start.weights, ...ofWeights],
  ];
  return { ...start, values: new Map(allValues), weights: new Map(allWeights) };
}

/** Of a weight, in the order its form stores them. */
function weightParams(entry: NodePlan, grid: LearnedGrid, learned: Learned, start: QatStart): QParams {
  const { scheme, shape, axis } = entry.weight!;
  const begun = start.weights.get(entry)!;
  const found = paramsOf(grid, learned, begun);
  if (scheme.granularity.per !== "group" || axis === 0) return found;
  return { ...found, scale: transposed(found.scale, found.scale.length / shape[axis]!) };
}

/** The plan with given scales and zero points: those of `grids`. */
export function planWith(plan: Plan, { values, weights }: QatStart): Plan {
  const value = (entry: ValuePlan): ValuePlan => {
    const qparams = entry.sameAs === undefined ? values.get(entry.value) : undefined;
    return qparams === undefined ? entry : { ...entry, qparams };
  };
  const node = (entry: NodePlan): NodePlan => {
    const qparams = weights.get(entry);
    return qparams === undefined || entry.weight === undefined
      ? entry
      : { ...entry, weight: { ...entry.weight, qparams } };
  };
  return { ...plan, values: plan.values.map(value), nodes: plan.nodes.map(node) };
}

/** How the parameters of fake quantization differ in training. */
export interface GroupOptions {
  /** Weight decay of weights of two and more dimensions; scales, zero points, biases and gains have none. */
  readonly decay?: number;
  /** Factor on the learning rate of scales, which move by shares of themselves; 1 by default. */
  readonly scaleRate?: number;
  /** How strongly weights are pulled to the middle of their bins when the rate is at its end; 0 by default. */
  readonly dampening?: number;
  /** Initializers that hold how large parameters are: theirs is the learning rate times that. */
  readonly sizes?: ReadonlyMap<string, string>;
}

/** Settings of each parameter of a model with fake quantization. */
export function parameterGroups(
  { model, values, weights, rounded }: FakeQuantized,
  { decay = 0, scaleRate = 1, dampening = 0, sizes }: GroupOptions = {},
): (parameter: string) => ParameterGroup {
  const groups = new Map<string, ParameterGroup>();
  for (const { scale, zero, scheme } of [...values.values(), ...weights.values()]) {
    const [low, high] = codesOf(scheme);
    groups.set(scale, { rate: scaleRate });
    if (zero !== undefined) groups.set(zero, { rate: (high - low) * scaleRate, min: low });
  }
  const { tensors } = model.graph;
  const isMatrix = (name: string): boolean => (tensors.get(name)?.shape.length ?? 0) > 1;
  const pullOf = (node: Node) => (writer: Writer) =>
    writer.emit("Mul", [toMiddle(writer, node), writer.scalar(dampening, "float32")]);
  const ofWeight = (name: string): ParameterGroup => {
    const node = dampening > 0 ? rounded.get(name) : undefined;
    return { rate: sizes?.get(name) ?? 1, ...(isMatrix(name) && { decay }), ...(node && { pull: pullOf(node) }) };
  };
  return (name) => groups.get(name) ?? ofWeight(name);
}

/** Scales and zero points that are trained. */
export const gridParameters = ({ values, weights }: FakeQuantized): readonly string[] => [
  ...new Set(
    [...values.values(), ...weights.values()].flatMap(({ scale, zero, movable }) =>
      movable && zero !== undefined ? [scale, zero] : [scale],
    ),
  ),
];
