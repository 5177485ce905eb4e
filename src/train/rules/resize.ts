/** Resize. `d` is the gradient of the output. */

import { ELEMENT_TYPES } from "../../containers/onnx/dtypes.ts";
import { intsAttribute, stringAttribute } from "../../ir/attributes.ts";
import type { Node } from "../../ir/model.ts";
import { decodeFloats } from "../../numeric/convert.ts";
import { castTo, reshapeLike, reshapeTo } from "../forms.ts";
import { incoming, type Rule, type RuleContext, type Rules } from "../rule.ts";
import { fromFront } from "../shapes/lengths.ts";
import { around } from "./indexing.ts";
import { positionsLike, scatter } from "./movement.ts";

/** The same op on the positions says where each element came from; the engine resizes them as int32. */
function nearest(node: Node, context: RuleContext): string {
  const x = node.inputs[0]!;
  const positions = castTo(context, positionsLike(context, x), "int32");
  const picked = context.emit("Resize", [positions, ...node.inputs.slice(1)], node.attributes);
  return scatter(context, incoming(context), picked, x);
}

/** The axis of each scale or size, counted from the front. */
function namedAxes(node: Node, rank: number): readonly number[] {
  const axes = intsAttribute(node, "axes") ?? Array.from({ length: rank }, (_, axis) => axis);
  return axes.map((axis) => fromFront(axis, rank));
}

/** Factors that are constant. */
function scalesOf(node: Node, { constant }: RuleContext): ArrayLike<number> | undefined {
  const tensor = constant(node.inputs[2] ?? "");
  return tensor?.data.bytes && decodeFloats(tensor.data.bytes, tensor.dtype);
}

/** Axes whose length changes; where that is known only at run time, the positions, or all of up to three axes. */
function resizedAxes(node: Node, context: RuleContext): readonly number[] {
  const dims = context.dims(node.inputs[0]!);
  const axes = namedAxes(node, context.rank(node.inputs[0]!));
  const scales = scalesOf(node, context);
  if (scales !== undefined) return axes.filter((_, at) => scales[at] !== 1);
  const sizes = context.values(node.inputs[3] ?? "");
  if (sizes !== undefined) return axes.filter((axis, at) => sizes[at] !== dims?.[axis]);
  return axes.length > 3 ? axes.filter((axis) => axis > 1) : axes;
}

/** What the op does along one axis, as a matrix [after, before]: it resizes the rows of an identity matrix. */
function axisMatrix(node: Node, context: RuleContext, axis: number): string {
  const { emit, ints } = context;
  const [x = "", , scales = "", sizes = ""] = node.inputs;
  const dtype = context.dtype(x);
  const length = emit("Gather", [emit("Shape", [x]), ints([axis])]);
  const square = emit("ConstantOfShape", [emit("Concat", [length, length], { axis: 0 })]);
  const identity = emit("EyeLike", [square], { dtype: ELEMENT_TYPES[dtype].code });
  const { axes: _, ...attributes } = node.attributes;
  const at = namedAxes(node, context.rank(x)).indexOf(axis);
  const own = (list: string, kept: string) => emit("Concat", [emit("Gather", [list, ints([at])]), kept], { axis: 0 });
  const one = () => emit("Unsqueeze", [context.scalar(1, "float32"), ints([0])]);
  const target = sizes === "" ? ["", own(scales, one())] : ["", "", own(sizes, length)];
  return emit("Resize", [identity, ...target], attributes);
}

/** Multiplies along one axis by the transposed matrix. */
function alongAxis(context: RuleContext, value: string, matrix: string, axis: number): string {
  const { emit, ints } = context;
  const { before, after } = around(context, value, axis);
  const shape = emit("Shape", [value]);
  const [end, start] = [ints([axis]), ints([axis + 1])];
  const stacked = reshapeTo(context, value, emit("Concat", [before, emit("Gather", [shape, end]), after], { axis: 0 }));
  const product = emit("MatMul", [emit("Transpose", [matrix], { perm: [1, 0] }), stacked]);
  const length = emit("Gather", [emit("Shape", [matrix]), ints([1])]);
  const [front, back] = [
    emit("Slice", [shape, ints([0]), end]),
    emit("Slice", [shape, start, ints([Number.MAX_SAFE_INTEGER])]),
  ];
  return reshapeTo(context, product, emit("Concat", [front, length, back], { axis: 0 }));
}

/** Linear and cubic weights of several axes are products of those of each. */
function weighted(node: Node, context: RuleContext): string {
  const gradient = resizedAxes(node, context).reduce(
    (value, axis) => alongAxis(context, value, axisMatrix(node, context, axis), axis),
    incoming(context),
  );
  return reshapeLike(context, gradient, node.inputs[0]!);
}

const resize: Rule = (node, context) => {
  const coordinates = stringAttribute(node, "coordinate_transformation_mode", "half_pixel");
  if (coordinates === "tf_crop_and_resize")
    context.refuse("coordinate_transformation_mode tf_crop_and_resize has no rule");
  const policy = stringAttribute(node, "keep_aspect_ratio_policy", "stretch");
  if (policy !== "stretch") context.refuse(`keep_aspect_ratio_policy ${policy} has no rule; write the sizes out`);
  return [stringAttribute(node, "mode", "nearest") === "nearest" ? nearest(node, context) : weighted(node, context)];
};

export const resizeRules: Rules = { Resize: resize };
