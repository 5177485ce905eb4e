/** Ops that repeat, split, pad or accumulate elements. `d` is the gradient of the output. */
import { intAttribute, stringAttribute } from "../../ir/attributes.ts";
import { castTo, expandLike, reshapeLike, unbroadcast } from "../forms.ts";
import { incoming, type Rule, type RuleContext, type Rules } from "../rule.ts";
import { picking } from "./movement.ts";

const expand: Rule = (node, context) => [unbroadcast(context, incoming(context), node.inputs[0]!, node.outputs[0]!)];

/** Every axis becomes two, copies and elements of one copy; the copies are summed. */
const tile: Rule = (node, context) => {
  const { emit, ints } = context;
  const [x = "", repeats = ""] = node.inputs;
  const column = (value: string) => emit("Unsqueeze", [value, ints([1])]);
  const pairs = emit("Concat", [column(repeats), column(emit("Shape", [x]))], { axis: 1 });
  const lengths = emit("Reshape", [pairs, ints([-1])]);
  const axes = emit("Range", [ints(0), emit("Size", [lengths]), ints(2)]);
  const copies = emit("Reshape", [incoming(context), lengths], { allowzero: 1 });
  return [emit("ReduceSum", [copies, axes], { keepdims: 0, noop_with_empty_axes: 1 })];
};

/** Gradient of the value that fills: everything that did not come from the input. */
function fillGradient(context: RuleContext, d: string, cut: string, value: string): string {
  const total = (of: string) => context.emit("ReduceSum", [of], { keepdims: 0 });
  return reshapeLike(context, context.emit("Sub", [total(d), total(cut)]), value);
}

/** Constant fill is cut off again; what was mirrored, repeated or wrapped goes back to where it came from. */
const pad: Rule = (node, context) => {
  if (stringAttribute(node, "mode", "constant") !== "constant") return picking(node, context);
  const { emit } = context;
  const [, pads = "", value = "", ...axes] = node.inputs;
  const d = incoming(context);
  const cut = emit("Pad", [d, emit("Neg", [pads]), ...(axes.length === 0 ? [] : ["", ...axes])]);
  return [cut, undefined, context.wants(2) ? fillGradient(context, d, cut, value) : undefined];
};

/** Parts the loss does not need count as zeros. */
const split: Rule = (node, context) => {
  const dtype = context.dtype(node.inputs[0]!);
  const parts = node.outputs.map(
    (_, at) => context.gradient(at) ?? expandLike(context, context.scalar(0, dtype), context.output(at)),
  );
  return [context.emit("Concat", parts, { axis: intAttribute(node, "axis", 0) })];
};

/** Sums from the other end. */
const cumSum: Rule = (node, context) => {
  const attributes = {
    exclusive: intAttribute(node, "exclusive", 0),
    reverse: 1 - intAttribute(node, "reverse", 0),
  };
  return [context.emit("CumSum", [incoming(context), node.inputs[1]!], attributes)];
};

/** The same op on the gradient: a triangle is kept, a reversed sequence is reversed back. */
const again: Rule = (node, context) => [
  context.emit(node.op, [incoming(context), ...node.inputs.slice(1)], node.attributes),
];

/** [N, C, H * b, W * b] as [N, C, H, b, W, b], its blocks moved in front of or behind the channels. */
const depthToSpace: Rule = (node, context) => {
  const { emit, ints } = context;
  const x = node.inputs[0]!;
  const block = ints([intAttribute(node, "blocksize", 1)]);
  const length = (axis: number) => emit("Gather", [emit("Shape", [x]), ints([axis])]);
  const lengths = emit("Concat", [ints([0, 0]), length(2), block, length(3), block], { axis: 0 });
  const perm = stringAttribute(node, "mode", "DCR") === "CRD" ? [0, 1, 3, 5, 2, 4] : [0, 3, 5, 1, 2, 4];
  return [reshapeLike(context, emit("Transpose", [emit("Reshape", [incoming(context), lengths])], { perm }), x)];
};

const spaceToDepth: Rule = (node, context) => [
  context.emit("DepthToSpace", [incoming(context)], { blocksize: intAttribute(node, "blocksize", 1) }),
];

/** y = start + i * delta; how many there are has no slope. */
const range: Rule = (node, context) => {
  const { emit, ints } = context;
  const d = incoming(context);
  const dtype = context.dtype(node.inputs[0]!);
  const sum = (value: string) => emit("ReduceSum", [value], { keepdims: 0 });
  const steps = () => castTo(context, emit("Range", [ints(0), emit("Size", [d]), ints(1)]), dtype);
  return [
    context.wants(0) ? sum(d) : undefined,
    undefined,
    context.wants(2) ? sum(emit("Mul", [d, steps()])) : undefined,
  ];
};

export const repetitionRules: Rules = {
  Expand: expand,
  Tile: tile,
  Pad: pad,
  Split: split,
  CumSum: cumSum,
  Trilu: again,
  ReverseSequence: again,
  DepthToSpace: depthToSpace,
  SpaceToDepth: spaceToDepth,
  Range: range,
};
