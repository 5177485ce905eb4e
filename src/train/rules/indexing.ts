/** Ops that read or write elements at indices. `d` is the gradient of the output. */
import { intAttribute, stringAttribute } from "../../ir/attributes.ts";
import type { Node } from "../../ir/model.ts";
import { expandLike, reshapeLike, reshapeTo } from "../forms.ts";
import { incoming, type Rule, type RuleContext, type Rules } from "../rule.ts";
import { picking } from "./movement.ts";

/** Zeros of the shape of a value of the forward graph. */
const zerosLike = (context: RuleContext, value: string, dtypeOf = value): string =>
  expandLike(context, context.scalar(0, context.dtype(dtypeOf)), value);

/** How many elements there are in front of an axis and behind it, as int64 vectors of one entry. */
export function around({ emit, ints }: RuleContext, x: string, axis: number) {
  const length = (at: number, of: number) =>
    emit("Gather", [emit("Shape", [emit("Flatten", [x], { axis: at })]), ints([of])]);
  return { before: length(axis, 0), after: axis === -1 ? ints([1]) : length(axis + 1, 1) };
}

/**
 * Adds rows to zeros along the second of three axes; an index may come several times. ScatterND would need no wide indices, but
 * ONNX Runtime's adds in several threads, which lose each other's sums (its issues 18048 and 23396).
 */
const gather: Rule = (node, context) => {
  const { emit, ints } = context;
  const [x = "", indices = ""] = node.inputs;
  const axis = intAttribute(node, "axis", 0);
  const { before, after } = around(context, x, axis);
  const lengths = (middle: string) => emit("Concat", [before, middle, after], { axis: 0 });
  const read = lengths(emit("Reshape", [emit("Size", [indices]), ints([1])]));
  const table = lengths(emit("Gather", [emit("Shape", [x]), ints([axis])]));
  const zeros = emit("Expand", [context.scalar(0, context.dtype(x)), table]);
  const wide = emit("Expand", [emit("Reshape", [indices, ints([1, -1, 1])]), read]);
  const rows = reshapeTo(context, incoming(context), read);
  return [reshapeLike(context, emit("ScatterElements", [zeros, wide, rows], { axis: 1, reduction: "add" }), x)];
};

/** Adds single elements along an axis to zeros of the shape of `x`. */
const addElements = (context: RuleContext, x: string, indices: string, d: string, axis: number): string =>
  context.emit("ScatterElements", [zerosLike(context, x), indices, d], { axis, reduction: "add" });

const gatherElements: Rule = (node, context) => {
  const [x = "", indices = ""] = node.inputs;
  return [addElements(context, x, indices, incoming(context), intAttribute(node, "axis", 0))];
};

/** What was overwritten has no gradient; what was added to keeps it. The updates get theirs with the op that reads. */
const scattering =
  (read: (node: Node, context: RuleContext, d: string) => string): Rule =>
  (node, context) => {
    const [x = "", indices = "", updates = ""] = node.inputs;
    const reduction = stringAttribute(node, "reduction", "none");
    if (reduction !== "none" && reduction !== "add") context.refuse(`reduction ${reduction} has no rule`);
    const d = incoming(context);
    const kept = () =>
      reduction === "add"
        ? d
        : context.emit(node.op, [d, indices, zerosLike(context, updates, x)], { ...node.attributes });
    return [context.wants(0) ? kept() : undefined, undefined, context.wants(2) ? read(node, context, d) : undefined];
  };

const scatterElements = scattering((node, { emit }, d) =>
  emit("GatherElements", [d, node.inputs[1]!], { axis: intAttribute(node, "axis", 0) }),
);

const scatterNd = scattering((node, { emit }, d) => emit("GatherND", [d, node.inputs[1]!]));

/** The indices the op gives say where its values came from. */
const topK: Rule = (node, context) => [
  addElements(context, node.inputs[0]!, context.output(1), incoming(context), intAttribute(node, "axis", -1)),
];

export const indexingRules: Rules = {
  Gather: gather,
  GatherElements: gatherElements,
  GatherND: picking,
  ScatterElements: scatterElements,
  ScatterND: scatterNd,
  TopK: topK,
};
