/**
 * Means and spreads of channels, measured and corrected inside of a graph: one run finds the corrections of all layers, each
 * with those in front of it in effect already.
 *
 * fewbit.Moments: x -> mean and standard deviation of each channel, [1, channels, 1].
 * fewbit.Match: x, a mean and a standard deviation of each channel -> x as it is with them, the factors and the offsets that
 * make it so. Attributes of both: `channels`, and `last` 1 where they lie on the last axis instead of axis 1; of Match
 * `offsets` 0 where only factors can be put into effect.
 */
import { intAttribute } from "../../ir/attributes.ts";
import { node as makeNode } from "../../ir/build.ts";
import { freshNames, withGraph, withTensors } from "../../ir/edit.ts";
import type { Model, Node, Tensor } from "../../ir/model.ts";
import { type Expansion, type Expansions, expand } from "../expand.ts";
import { castTo } from "../forms.ts";
import { TRAINING_OPS } from "../ops/index.ts";
import type { Writer } from "../writer.ts";

/** A value whose channels are looked at. */
export interface ChannelValue {
  readonly value: string;
  readonly channels: number;
  /** Channels lie on the last axis instead of axis 1. */
  readonly last: boolean;
}

/** A value that is corrected: towards what, tensors of [1, channels, 1], and whether something can add an offset. */
export interface MatchedValue extends ChannelValue {
  readonly mean: Tensor;
  readonly spread: Tensor;
  readonly offsets: boolean;
}

/** A model that tells two things of each value, by the names of its outputs. */
export interface Telling {
  readonly model: Model;
  readonly outputs: ReadonlyMap<string, readonly [string, string]>;
}

/** Factors beyond this say that the channel is nearly constant on these samples, not that it shrank. */
const LARGEST_FACTOR = 4;
const f32 = "float32";

/** Values as [samples, channels, places]. */
function rowsOf(node: Node, { emit, ints }: Writer): string {
  const channels = intAttribute(node, "channels", 1);
  return emit("Reshape", [
    node.inputs[0]!,
    ints(intAttribute(node, "last", 0) === 1 ? [-1, channels, 1] : [0, channels, -1]),
  ]);
}

function momentsOf(writer: Writer, rows: string, channels: number) {
  const { emit, ints, scalar } = writer;
  const count = emit("Div", [castTo(writer, emit("Size", [rows]), f32), scalar(channels, f32)]);
  const average = (value: string) => emit("Div", [emit("ReduceSum", [value, ints([0, 2])], { keepdims: 1 }), count]);
  const mean = average(rows);
  const apart = emit("Sub", [rows, mean]);
  return { mean, spread: emit("Sqrt", [average(emit("Mul", [apart, apart]))]) };
}

const moments: Expansion = (node, writer) => {
  const { mean, spread } = momentsOf(writer, rowsOf(node, writer), intAttribute(node, "channels", 1));
  return [mean, spread];
};

const match: Expansion = (node, writer) => {
  const { emit, scalar } = writer;
  const [x = "", mean = "", spread = ""] = node.inputs;
  const rows = rowsOf(node, writer);
  const own = momentsOf(writer, rows, intAttribute(node, "channels", 1));
  const ratio = emit("Div", [spread, own.spread]);
  const bound = (op: string, value: number) => emit(op, [ratio, scalar(value, f32)]);
  const usable = emit("And", [bound("LessOrEqual", LARGEST_FACTOR), bound("GreaterOrEqual", 1 / LARGEST_FACTOR)]);
  const factor = emit("Where", [usable, ratio, scalar(1, f32)]);
  const wanted = emit("Sub", [mean, emit("Mul", [own.mean, factor])]);
  const offset = intAttribute(node, "offsets", 1) === 1 ? wanted : emit("Mul", [wanted, scalar(0, f32)]);
  const moved = emit("Add", [emit("Mul", [rows, factor]), offset]);
  return [emit("Reshape", [moved, emit("Shape", [x])]), factor, offset];
};

const MATCHING_OPS: Expansions = { ...TRAINING_OPS, "fewbit.Moments": moments, "fewbit.Match": match };

const attributesOf = ({ channels, last }: ChannelValue) => ({ channels, last: last ? 1 : 0 });

type Fresh = (wish: string) => string;

/** The nodes that take the place of one that makes a value; `told` are outputs of the model. */
type Change<T> = (node: Node, value: T, told: readonly [string, string], fresh: Fresh) => readonly Node[];

/** The model with other nodes where the values are made, and with no outputs but what they tell. */
function telling<T extends ChannelValue>(model: Model, values: readonly T[], change: Change<T>): Telling {
  const fresh = freshNames(model.graph);
  const known = new Map(values.map((value) => [value.value, value]));
  const told = new Map(values.map(({ value }) => [value, [fresh(`${value}/a`), fresh(`${value}/b`)] as const]));
  const nodes = model.graph.nodes.flatMap((node) => {
    const found = known.get(node.outputs[0] ?? "");
    return found === undefined ? [node] : change(node, found, told.get(found.value)!, fresh);
  });
  const outputs = [...told.values()].flat().map((name) => ({ name }));
  return { model: expand(withGraph(model, { ...model.graph, nodes, outputs }), MATCHING_OPS), outputs: told };
}

/** `model` telling mean and standard deviation of the values' channels. */
export const withMoments = (model: Model, values: readonly ChannelValue[]): Telling =>
  telling(model, values, (node, value, told) => {
    const settings = { name: `${told[0]}/Moments`, domain: "fewbit", attributes: attributesOf(value) };
    return [node, makeNode("Moments", [value.value], told, settings)];
  });

/** `model` with the values corrected where they are made, telling the factors and offsets that did it. */
export function withMatching(model: Model, values: readonly MatchedValue[]): Telling {
  const tensors = values.flatMap(({ mean, spread }) => [mean, spread]);
  return telling(withGraph(model, withTensors(model.graph, tensors)), values, (node, found, told, fresh) => {
    const { value, mean, spread, offsets } = found;
    const raw = fresh(`${value}/unmatched`);
    const attributes = { ...attributesOf(found), offsets: offsets ? 1 : 0 };
    const settings = { name: `${told[0]}/Match`, domain: "fewbit", attributes };
    return [
      { ...node, outputs: [raw, ...node.outputs.slice(1)] },
      makeNode("Match", [raw, mean.name, spread.name], [value, ...told], settings),
    ];
  });
}
