/** Convolutions and pools. TFLite keeps channels last, ONNX first; each op stands between two Transposes. */
import { intAttribute } from "../../ir/attributes.ts";
import type { Node } from "../../ir/model.ts";
import { rowwise } from "../batch-state.ts";
import { type ConversionRow, choice, known, ofRank, positive, refuse, type Site } from "../row.ts";
import type { Attributes } from "../writer.ts";

/** NHWC -> NCHW. */
export const CHANNELS_FIRST = [0, 3, 1, 2];
/** NCHW -> NHWC. */
export const CHANNELS_LAST = [0, 2, 3, 1];
/** OHWI -> OIHW. */
const CONV_WEIGHT = [0, 3, 1, 2];
/** 1HWC -> C1HW, and OHWI -> IOHW. */
const LAST_AXIS_FIRST = [3, 0, 1, 2];

/** A window along the two image axes, [height, width]. */
interface Window {
  readonly size: readonly [number, number];
  readonly strides: readonly [number, number];
  readonly dilations: readonly [number, number];
}

const strides = (node: Node) => [positive(node, "stride_h"), positive(node, "stride_w")] as const;

function dilations(node: Node): readonly [number, number] {
  const [h, w] = ["dilation_h_factor", "dilation_w_factor"].map((name) => intAttribute(node, name, 1));
  return h! >= 1 && w! >= 1 ? [h!, w!] : refuse(node, `dilations are ${h} and ${w}, expected 1 or more`);
}

/** The odd element of SAME padding goes to the end. */
const halves = (total: number): readonly [number, number] => [Math.floor(total / 2), Math.ceil(total / 2)];

const inOrder = (sides: readonly (readonly [number, number])[]): readonly number[] => [
  ...sides.map(([before]) => before),
  ...sides.map(([, after]) => after),
];

/** Padding as ONNX attributes: in numbers where the image's size is known (TFLite kernels/padding.h). */
function padding(node: Node, lengths: readonly (number | null)[], window: Window): Attributes {
  if (choice(node, "padding", "SAME") === "VALID") return { pads: [0, 0, 0, 0] };
  if (lengths.some((length) => length === null)) return { auto_pad: "SAME_UPPER" };
  const sides = lengths.map((length, i) => {
    const [stride, reach] = [window.strides[i]!, (window.size[i]! - 1) * window.dilations[i]! + 1];
    return halves(Math.max(0, (Math.ceil(length! / stride) - 1) * stride + reach - length!));
  });
  return { pads: inOrder(sides) };
}

/** Runs `op` on the image with its channels first. */
function planar(site: Site, image: string, op: (image: string) => string): string {
  return site.turned(op(site.turned(image, CHANNELS_FIRST)), CHANNELS_LAST);
}

const biasOf = ({ optional }: Site, index: number): readonly string[] => {
  const bias = optional(index);
  return bias === undefined ? [] : [bias];
};

function convolution(
  site: Site,
  perm: readonly number[],
  groupOf: (channels: number, filter: readonly number[]) => number,
) {
  const { node, input, emit } = site;
  const image = ofRank(site, input(0), 4);
  const filter = ofRank(site, input(1), 4).map((length) => known(node, length, "filter's shape"));
  const window: Window = { size: [filter[1]!, filter[2]!], strides: strides(node), dilations: dilations(node) };
  const group = groupOf(known(node, image[3], "number of channels"), filter);
  const attributes = {
    kernel_shape: window.size,
    strides: window.strides,
    dilations: window.dilations,
    group,
    ...padding(node, image.slice(1, 3), window),
  };
  return planar(site, input(0), (x) => emit("Conv", [x, site.turned(input(1), perm), ...biasOf(site, 2)], attributes));
}

const conv: ConversionRow = {
  convert: (site) =>
    convolution(site, CONV_WEIGHT, (channels, [, , , depth]) =>
      depth! >= 1 && channels % depth! === 0
        ? channels / depth!
        : refuse(site.node, `${channels} channels can't be divided into groups of ${depth}; the file is damaged`),
    ),
  batch: rowwise(),
};

const depthwise: ConversionRow = {
  convert: (site) =>
    convolution(site, LAST_AXIS_FIRST, (channels, [one, , , made]) =>
      one === 1 && channels >= 1 && made! % channels === 0
        ? channels
        : refuse(site.node, `a filter for ${made} channels does not fit an image of ${channels}; the file is damaged`),
    ),
  batch: rowwise(),
};

/**
 * The image axes grow from `length` to `target`: what the windows cover beyond it is cut off, what they leave is padded
 * (TFLite kernels/transpose_conv.cc: the padding of the convolution it undoes).
 */
function transposedPads(
  node: Node,
  lengths: readonly number[],
  targets: readonly number[],
  window: Window,
): Attributes {
  const spare = lengths.map((length, i) => (length - 1) * window.strides[i]! + window.size[i]! - targets[i]!);
  const same = choice(node, "padding", "SAME") === "SAME";
  if (spare.some((cut, i) => -cut >= window.strides[i]!)) refuse(node, `an output of ${targets} is beyond its windows`);
  const cuts = spare.map((cut): readonly [number, number] => (same ? halves(Math.max(0, cut)) : [0, Math.max(0, cut)]));
  return { pads: inOrder(cuts), output_padding: spare.map((cut) => Math.max(0, -cut)) };
}

/** Inputs: output shape, filter OHWI, image, bias. */
const transposeConv: ConversionRow = {
  convert: (site) => {
    const { node, input, emit } = site;
    const image = ofRank(site, input(2), 4);
    const filter = ofRank(site, input(1), 4).map((length) => known(node, length, "filter's shape"));
    const target = ofRank(site, node.outputs[0]!, 4);
    const window: Window = { size: [filter[1]!, filter[2]!], strides: strides(node), dilations: [1, 1] };
    const [from, to] = [image, target].map((dims) => [1, 2].map((axis) => known(node, dims[axis], "image size")));
    const attributes = {
      kernel_shape: window.size,
      strides: window.strides,
      ...transposedPads(node, from!, to!, window),
    };
    return planar(site, input(2), (x) =>
      emit("ConvTranspose", [x, site.turned(input(1), LAST_AXIS_FIRST), ...biasOf(site, 3)], attributes),
    );
  },
  batch: rowwise(2),
};

/** Padding never counts in an average. */
const pool = (op: string, more: Attributes = {}): ConversionRow => ({
  convert: (site) => {
    const { node, input, emit } = site;
    const image = ofRank(site, input(0), 4);
    const size = [positive(node, "filter_height"), positive(node, "filter_width")] as const;
    const window: Window = { size, strides: strides(node), dilations: [1, 1] };
    const pads = padding(node, image.slice(1, 3), window);
    return planar(site, input(0), (x) =>
      emit(op, [x], { kernel_shape: size, strides: window.strides, ...pads, ...more }),
    );
  },
  batch: rowwise(),
});

export const windowRows = {
  CONV_2D: conv,
  DEPTHWISE_CONV_2D: depthwise,
  TRANSPOSE_CONV: transposeConv,
  AVERAGE_POOL_2D: pool("AveragePool", { count_include_pad: 0 }),
  MAX_POOL_2D: pool("MaxPool"),
} satisfies Readonly<Record<string, ConversionRow>>;
