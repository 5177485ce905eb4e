/** Shapes of ops that follow no common pattern. */
import { intAttribute, intsAttribute, stringAttribute } from "../../ir/attributes.ts";
import type { Dim } from "../../ir/model.ts";
import { equationOf, REST } from "../equation.ts";
import { broadcastDims, broadcastLength, type Dims, fromFront } from "./lengths.ts";
import { fromFirst, integers, type ShapeRule, type ShapeRules } from "./shape-rule.ts";

/** A letter has one length, or 1 where it is broadcast; so have the axes without a letter. */
const einsum: ShapeRule = (inputs, node) => {
  const { operands, output } = equationOf(node);
  const lengths = new Map<string, Dim>();
  const rests: Dims[] = [];
  for (const [at, term] of operands.entries()) {
    const dims = inputs[at]?.dims;
    if (dims === undefined) return undefined;
    const rest = term.includes(REST) ? dims.length - term.length + 1 : 0;
    const from = term.indexOf(REST);
    if (from >= 0) rests.push(dims.slice(from, from + rest));
    const own = from < 0 ? dims : [...dims.slice(0, from), ...dims.slice(from + rest)];
    for (const [axis, letter] of term.filter((token) => token !== REST).entries())
      lengths.set(letter, broadcastLength(lengths.get(letter) ?? 1, own[axis] ?? null));
  }
  return [output.flatMap((token) => (token === REST ? broadcastDims(rests) : [lengths.get(token) ?? null]))];
};

/** Scales that are no integers leave the lengths open. */
const resize = fromFirst((dims, node, inputs) => {
  const axes = intsAttribute(node, "axes")?.map((axis) => fromFront(axis, dims.length)) ?? dims.map((_, axis) => axis);
  const sizes =
    stringAttribute(node, "keep_aspect_ratio_policy", "stretch") === "stretch" ? integers(inputs[3]) : undefined;
  return dims.map((dim, axis) => (axes.includes(axis) ? (sizes?.[axes.indexOf(axis)] ?? null) : dim));
});

/** A number, or one for each label; and the logarithmic probabilities. */
const labelLoss: ShapeRule = ([scores, labels], node) => [
  stringAttribute(node, "reduction", "mean") === "none" ? labels?.dims : [],
  scores?.dims,
];

const nonZero: ShapeRule = ([x]) => [[x?.dims?.length ?? null, null]];

/** All hidden values, then the last states (ONNX operators RNN, GRU, LSTM). */
const recurrent =
  (states: number): ShapeRule =>
  ([x], node) => {
    if (x?.dims?.length !== 3) return undefined;
    const samplesFirst = intAttribute(node, "layout", 0) === 1;
    const [batch, length] = samplesFirst ? [x.dims[0]!, x.dims[1]!] : [x.dims[1]!, x.dims[0]!];
    const directions = stringAttribute(node, "direction", "forward") === "bidirectional" ? 2 : 1;
    const hidden = intAttribute(node, "hidden_size", 0) || null;
    const last = samplesFirst ? [batch, directions, hidden] : [directions, batch, hidden];
    const all = samplesFirst ? [batch, length, directions, hidden] : [length, ...last];
    return [all, ...new Array<Dims>(states).fill(last)];
  };

export const specialShapes: ShapeRules = {
  RNN: recurrent(1),
  GRU: recurrent(1),
  LSTM: recurrent(2),
  Einsum: einsum,
  Resize: resize,
  SoftmaxCrossEntropyLoss: labelLoss,
  NegativeLogLikelihoodLoss: labelLoss,
  NonZero: nonZero,
};
