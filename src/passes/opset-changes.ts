/**
 * Ops of the default ONNX domain whose signature or meaning changed between operator sets 7 and 25, and how a node of the
 * version before becomes one of the version after (ONNX Changelog.md). Ops that are not here only gained types or
 * attributes with defaults.
 */
import { floatAttribute, intAttribute, intsAttribute, stringAttribute } from "../ir/attributes.ts";
import { intTensor, node as makeNode, tensor as makeTensor } from "../ir/build.ts";
import type { Attribute, Node, Tensor, ValueInfo } from "../ir/model.ts";
import { bytesSource, readAll } from "../ir/source.ts";
import { decodeFloats, encodeFloats } from "../numeric/convert.ts";
import type { FindConstant } from "./values.ts";

export interface ChangeSite {
  readonly constant: FindConstant;
  readonly info: (name: string) => ValueInfo | undefined;
  readonly unread: (names: readonly string[]) => boolean;
  readonly fresh: (wish: string) => string;
  /** Adds an initializer; gives back its name. */
  readonly add: (tensor: Tensor) => string;
  /** Stops with the reason why this node can't follow. */
  readonly refuse: (why: string) => never;
}

type Change = (node: Node, site: ChangeSite) => readonly Node[] | Promise<readonly Node[]>;

const without = (node: Node, ...names: readonly string[]): Node["attributes"] =>
  Object.fromEntries(Object.entries(node.attributes).filter(([name]) => !names.includes(name)));

const withAttributes = (node: Node, init: NonNullable<Parameters<typeof makeNode>[3]>["attributes"]): Node => ({
  ...node,
  attributes: { ...node.attributes, ...makeNode("", [], [], { attributes: init ?? {} }).attributes },
});

/** How an attribute becomes a tensor; undefined when the node does not have it. */
type Maker = (node: Node, attribute: string, name: string, site: ChangeSite) => Tensor | undefined;

const ints: Maker = (node, attribute, name) => {
  const values = intsAttribute(node, attribute);
  return values && intTensor(name, values);
};

const oneInt: Maker = (node, attribute, name) =>
  node.attributes[attribute] && intTensor(name, [intAttribute(node, attribute, 0)]);

const scalarInt =
  (otherwise: number): Maker =>
  (node, attribute, name) =>
    intTensor(name, [intAttribute(node, attribute, otherwise)], []);

/** Of the type of the node's data, float32 where that is not declared. */
const scalarFloat: Maker = (node, attribute, name, { info }) => {
  if (node.attributes[attribute] === undefined) return undefined;
  const dtype = info(node.inputs[0]!)?.dtype ?? "float32";
  const bytes = encodeFloats(Float32Array.of(floatAttribute(node, attribute, 0)), dtype);
  return { name, dtype, shape: [], data: bytesSource(bytes) };
};

const floatList: Maker = (node, attribute, name) => {
  const found: Attribute | undefined = node.attributes[attribute];
  return found?.type === "floats"
    ? makeTensor(name, "float32", [found.value.length], Float32Array.from(found.value))
    : undefined;
};

type Moved = readonly [attribute: string, input: number, make: Maker];

/** Attributes that became inputs. */
const toInputs =
  (...moves: readonly Moved[]): Change =>
  (node, site) => {
    const inputs = [...node.inputs];
    for (const [attribute, input, make] of moves) {
      const tensor = make(node, attribute, site.fresh(`${node.outputs[0]}_${attribute}`), site);
      if (tensor === undefined) continue;
      while (inputs.length < input) inputs.push("");
      inputs[input] = site.add(tensor);
    }
    return [{ ...node, inputs, attributes: without(node, ...moves.map(([attribute]) => attribute)) }];
  };

const axesInput = toInputs(["axes", 1, ints]);

const renamed =
  (op: string): Change =>
  (node) => [{ ...node, op }];

const refused =
  (why: string): Change =>
  (_, site) =>
    site.refuse(why);

/** Version 9 always normalizes per channel. */
const batchNorm9: Change = (node, site) =>
  intAttribute(node, "spatial", 1) === 1
    ? [{ ...node, attributes: without(node, "spatial") }]
    : site.refuse("spatial = 0 exists no more");

/** Version 14 has statistics as outputs in training only. */
const batchNorm14: Change = (node, site) =>
  site.unread(node.outputs.slice(1))
    ? [{ ...node, outputs: node.outputs.slice(0, 1) }]
    : site.refuse("its statistics are read as outputs");

/** The mask became boolean in version 10. */
const dropout10: Change = (node, site) =>
  site.unread(node.outputs.slice(1)) ? [node] : site.refuse("its mask is read and changed its type");

/** At inference the ratio does not matter. */
const dropout12: Change = (node) => [{ ...node, attributes: without(node, "ratio") }];

/** Up to version 11 all axes from `axis` on count as one; from 13 on only `axis` does. */
const lastAxis: Change = (node, site) => {
  const axis = intAttribute(node, "axis", 1);
  const rank = site.info(node.inputs[0]!)?.shape?.length;
  if (axis === -1 || axis + 1 === rank) return [withAttributes(node, { axis: -1 })];
  const [shape, flat, done] = ["shape", "flat", "done"].map((part) => site.fresh(`${node.outputs[0]}_${part}`));
  return [
    makeNode("Shape", [node.inputs[0]!], [shape!], { name: shape! }),
    makeNode("Flatten", [node.inputs[0]!], [flat!], { name: flat!, attributes: { axis } }),
    { ...withAttributes(node, { axis: -1 }), name: done!, inputs: [flat!], outputs: [done!] },
    makeNode("Reshape", [done!, shape!], node.outputs, { name: node.name }),
  ];
};

/**
 * Version 10 samples at output position / scale; nearest takes the floor when it enlarges and the ceiling when it shrinks
 * (that is what ONNX Runtime does; the specification does not say).
 */
const resize11: Change = async (node, site) => {
  const [data, scales] = node.inputs;
  const mode = stringAttribute(node, "mode", "nearest");
  const rounding = stringAttribute(node, "nearest_mode", mode === "nearest" ? "" : "floor");
  const roi = site.add(makeTensor(site.fresh(`${node.outputs[0]}_roi`), "float32", [0], new Float32Array(0)));
  const attributes = {
    coordinate_transformation_mode: "asymmetric",
    nearest_mode: rounding || (await nearestMode(scales!, site)),
  };
  return [withAttributes({ ...node, inputs: [data!, roi, scales!] }, attributes)];
};

/** Scales have one number per dimension. */
const MAX_SCALE_BYTES = 256;

async function nearestMode(scales: string, site: ChangeSite): Promise<"floor" | "ceil"> {
  const tensor = site.constant(scales);
  if (tensor === undefined || tensor.data.size > MAX_SCALE_BYTES) return site.refuse("its scales are no constant");
  const values = decodeFloats(await readAll(tensor.data), tensor.dtype);
  if (values.every((scale) => scale >= 1)) return "floor";
  return values.every((scale) => scale <= 1) ? "ceil" : site.refuse("it shrinks one axis and enlarges another");
}

/** Upsample only enlarges, so its rounding is known without its scales. */
const upsample10: Change = (node) => [{ ...withAttributes(node, { nearest_mode: "floor" }), op: "Resize" }];

const resize13: Change = (node, site) =>
  stringAttribute(node, "coordinate_transformation_mode", "") === "tf_half_pixel_for_nn"
    ? site.refuse("coordinate mode tf_half_pixel_for_nn exists no more")
    : [node];

/** Version 16 samples half a pixel off unless told not to. */
const roiAlign16: Change = (node) => [
  node.attributes.coordinate_transformation_mode === undefined
    ? withAttributes(node, { coordinate_transformation_mode: "output_half_pixel" })
    : node,
];

const split18: Change = (node) => [
  (node.inputs[1] ?? "") === "" ? withAttributes(node, { num_outputs: node.outputs.length }) : node,
];

/** Version 21 has a scale and a bias for each channel; before, each group had one. */
const groupNorm21: Change = (node, { add, fresh, info }) => {
  const [x = "", ...vectors] = node.inputs;
  const groups = intAttribute(node, "num_groups", 1);
  const channels = info(x)?.shape?.[1];
  if (channels === groups) return [node];
  const constant = (wish: string, values: readonly number[]) => add(intTensor(fresh(`${x}_${wish}`), values));
  const made: Node[] = [];
  const step = (op: string, inputs: readonly string[], wish: string, attributes = {}) => {
    const name = fresh(`${node.outputs[0]}_${wish}`);
    made.push(makeNode(op, inputs, [name], { name, attributes }));
    return name;
  };
  const count = step("Shape", [x], "channels", { start: 1, end: 2 });
  const each = step("Div", [count, constant("groups", [groups])], "each");
  const shape = step("Concat", [constant("one", [1]), each], "repeats", { axis: 0 });
  const [last, flat] = [constant("last", [1]), constant("flat", [-1])];
  const repeated = vectors.map((vector) => {
    const column = step("Unsqueeze", [vector, last], "column");
    return step("Reshape", [step("Expand", [column, shape], "wide"), flat], "long");
  });
  return [...made, { ...node, inputs: [x, ...repeated] }];
};

const GRID_MODES: Readonly<Record<string, string>> = { bilinear: "linear", bicubic: "cubic" };
const gridSample20: Change = (node) => {
  const mode = stringAttribute(node, "mode", "bilinear");
  return [withAttributes(node, { mode: GRID_MODES[mode] ?? mode })];
};

type Changes = Readonly<Record<number, Change>>;

const REDUCTIONS = ["L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "SumSquare"];

/** By op and by the operator set that brought the change. */
export const CHANGES: Readonly<Record<string, Changes>> = {
  BatchNormalization: { 9: batchNorm9, 14: batchNorm14 },
  Clip: { 11: toInputs(["min", 1, scalarFloat], ["max", 2, scalarFloat]) },
  DFT: { 20: toInputs(["axis", 2, scalarInt(1)]) },
  Dropout: { 10: dropout10, 12: dropout12 },
  GridSample: { 20: gridSample20 },
  GroupNormalization: { 21: groupNorm21 },
  Hardmax: { 13: lastAxis },
  LogSoftmax: { 13: lastAxis },
  Pad: { 11: toInputs(["pads", 1, ints], ["value", 2, scalarFloat]) },
  ...Object.fromEntries(REDUCTIONS.map((name) => [`Reduce${name}`, { 18: axesInput }])),
  ReduceSum: { 13: axesInput },
  Resize: { 11: resize11, 13: resize13 },
  RoiAlign: { 16: roiAlign16 },
  Scan: { 9: refused("scan axes changed their meaning in operator set 9") },
  Scatter: { 11: renamed("ScatterElements") },
  Slice: { 10: toInputs(["starts", 1, ints], ["ends", 2, ints], ["axes", 3, ints]) },
  Softmax: { 13: lastAxis },
  Split: { 13: toInputs(["split", 1, ints]), 18: split18 },
  Squeeze: { 13: axesInput },
  TopK: { 10: toInputs(["k", 1, oneInt]) },
  Unsqueeze: { 13: axesInput },
  Upsample: { 9: toInputs(["scales", 1, floatList]), 10: upsample10 },
};
