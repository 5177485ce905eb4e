/** Ops that arrange elements: shapes, order of axes, joining and parting, repetition. */

import { ELEMENT_TYPES } from "../../containers/onnx/dtypes.ts";
import { intAttribute, intsAttribute } from "../../ir/attributes.ts";
import { along, type BatchRule, inputAxes, joined, optionAxis, reshaped, rowwise, unbatched } from "../batch-state.ts";
import { axisOf, type ConversionRow, constantInts, known, refuse, type Site } from "../row.ts";

/** The shape of the result as far as the file knows it; undefined when more than one axis is open. */
function target({ node, dims }: Site): readonly number[] | undefined {
  const lengths = dims(node.outputs[0]!).map((length) => length ?? -1);
  return lengths.filter((length) => length === -1).length > 1 ? undefined : lengths;
}

/** Of a file that leaves its result open, the shape is in the option or in the second input. */
const reshape: ConversionRow = {
  convert: (site) => {
    const { node, input, optional, int64, emit, list } = site;
    const lengths = target(site) ?? intsAttribute(node, "new_shape");
    const shape = optional(1);
    if (lengths === undefined && shape === undefined) return refuse(node, "its new shape is missing");
    const zeros = lengths?.includes(0) ? { allowzero: 1 } : {};
    return emit("Reshape", [input(0), lengths === undefined ? int64(shape!) : list(lengths)], zeros);
  },
  batch: reshaped,
};

/** No axes mean all of length 1. */
function squeezedAxes(node: Site["node"], dims: readonly (number | null)[]): readonly number[] {
  const axes = intsAttribute(node, "squeeze_dims") ?? [];
  if (axes.length > 0) return axes.map((axis) => axisOf(node, axis, dims.length));
  return dims.flatMap((length, axis) => (length === 1 ? [axis] : []));
}

const squeeze: ConversionRow = {
  convert: ({ node, input, dims, emit, list }) => {
    const axes = squeezedAxes(node, dims(input(0)));
    return axes.length === 0 ? input(0) : emit("Squeeze", [input(0), list(axes)]);
  },
  batch: along(({ node, dims }) => squeezedAxes(node, dims(node.inputs[0]!))),
};

const expandDims: ConversionRow = {
  convert: (site) => {
    const { node, input, dims, emit, list } = site;
    const [axis = 0] = constantInts(site, 1, "axis");
    return emit("Unsqueeze", [input(0), list([axisOf(node, axis, dims(input(0)).length + 1)])]);
  },
  batch: along(inputAxes(1), 0, 1),
};

const transpose: ConversionRow = {
  convert: (site) => {
    const { node, input, dims, turned } = site;
    const rank = dims(input(0)).length;
    const perm = constantInts(site, 1, "order of axes").map((axis) => axisOf(node, axis, rank));
    if (new Set(perm).size !== rank || perm.length !== rank) refuse(node, `[${perm}] is no order of ${rank} axes`);
    return turned(input(0), perm);
  },
  batch: (site) =>
    site.ints(site.node.inputs[1]!)?.[0] === 0 ? rowwise()(site) : { reason: "it moves the first axis" },
};

const inputs = ({ node, input }: Site): readonly string[] => node.inputs.map((_, i) => input(i));

const concatenation: ConversionRow = {
  convert: (site) => {
    const { node, input, dims, emit } = site;
    return emit("Concat", inputs(site), { axis: axisOf(node, intAttribute(node, "axis", 0), dims(input(0)).length) });
  },
  batch: joined("axis"),
  noActivation: true,
};

const pack: ConversionRow = {
  convert: (site) => {
    const { node, input, dims, emit, list } = site;
    const axis = axisOf(node, intAttribute(node, "axis", 0), dims(input(0)).length + 1);
    const parts = inputs(site).map((name) => emit("Unsqueeze", [name, list([axis])]));
    return emit("Concat", parts, { axis });
  },
  batch: joined("axis", 1),
};

/** More parts than this no tensor in use has; a hostile file could ask for any number. */
const MAX_PARTS = 4096;

function parts(site: Site, value: string, axis: number, sizes?: readonly number[]): readonly string[] {
  const count = site.node.outputs.length;
  if (count < 1 || count > MAX_PARTS) refuse(site.node, `${count} parts; expected 1 to ${MAX_PARTS}`);
  return site.emitAll("Split", [value, ...(sizes === undefined ? [] : [site.list(sizes)])], count, { axis });
}

const unpack: ConversionRow = {
  convert: (site) => {
    const { node, input, dims, emit, list } = site;
    const axis = axisOf(node, intAttribute(node, "axis", 0), dims(input(0)).length);
    return parts(site, input(0), axis).map((part) => emit("Squeeze", [part, list([axis])]));
  },
  batch: along(optionAxis("axis")),
};

/** Inputs: axis, values. */
const split: ConversionRow = {
  convert: (site) => {
    const [axis = 0] = constantInts(site, 0, "axis");
    const value = site.input(1);
    return parts(site, value, axisOf(site.node, axis, site.dims(value).length));
  },
  batch: along(inputAxes(0), 1),
};

/** Inputs: values, lengths of the parts, axis; one length may be -1, which is what is left. */
const splitV: ConversionRow = {
  convert: (site) => {
    const { node, input, dims } = site;
    const [axis = 0] = constantInts(site, 2, "axis");
    const at = axisOf(node, axis, dims(input(0)).length);
    const sizes = constantInts(site, 1, "lengths of parts");
    const given = sizes.reduce((sum, size) => sum + Math.max(size, 0), 0);
    const all = sizes.map((size) => (size === -1 ? known(node, dims(input(0))[at], "length") - given : size));
    return parts(site, input(0), at, all);
  },
  batch: along(inputAxes(2)),
};

/** Repeats samples only where that is once. */
const onceAlongBatch: BatchRule = (site) =>
  site.ints(site.node.inputs[1]!)?.[0] === 1 ? rowwise(0, 1)(site) : { reason: "it repeats samples" };

const tile: ConversionRow = {
  convert: ({ input, int64, emit }) => emit("Tile", [input(0), int64(input(1))]),
  batch: onceAlongBatch,
};

/** A length of 1 leaves the axis as it is, so that a batch stays open. */
const broadcastTo: ConversionRow = {
  convert: (site) => {
    const { input, batched, int64, emit, list, ints } = site;
    const shape = ints(input(1));
    if (!batched(input(0)) || shape === undefined) return emit("Expand", [input(0), int64(input(1))]);
    return emit("Expand", [input(0), list([1, ...shape.slice(1)])]);
  },
  batch: (site) => {
    const { node, dims, rowsIn } = site;
    const [before, after] = [dims(node.inputs[0]!), dims(node.outputs[0]!)];
    const kept = before.length === after.length && rowsIn(before[0]) === rowsIn(after[0]);
    return kept ? rowwise(0, 1)(site) : { reason: "it repeats samples" };
  },
};

const shape: ConversionRow = {
  convert: ({ node, input, dtype, emit }) => {
    const made = emit("Shape", [input(0)]);
    return dtype(node.outputs[0]!) === "int64" ? made : emit("Cast", [made], { to: ELEMENT_TYPES.int32.code });
  },
  batch: unbatched,
};

/** Inputs: shape, value. */
const fill: ConversionRow = {
  convert: ({ input, int64, emit }) => emit("Expand", [input(1), int64(input(0))]),
  batch: unbatched,
};

export const arrangementRows = {
  RESHAPE: reshape,
  SQUEEZE: squeeze,
  EXPAND_DIMS: expandDims,
  TRANSPOSE: transpose,
  CONCATENATION: concatenation,
  PACK: pack,
  UNPACK: unpack,
  SPLIT: split,
  SPLIT_V: splitV,
  TILE: tile,
  BROADCAST_TO: broadcastTo,
  SHAPE: shape,
  FILL: fill,
} satisfies Readonly<Record<string, ConversionRow>>;
