/** Other ops on images and blocks of them. */
import { type BatchSite, intoBatch, outOfBatch, rowwise } from "../batch-state.ts";
import { inverse } from "../origins.ts";
import { type ConversionRow, constantInts, flag, known, ofRank, positive, refuse, type Site } from "../row.ts";
import type { Attributes } from "../writer.ts";
import { CHANNELS_FIRST, CHANNELS_LAST } from "./windows.ts";

/** The same op in ONNX, on the image with its channels first; both number the channels of a block row by row. */
const blocks = (op: string): ConversionRow => ({
  convert: (site) => {
    const { node, input, emit, turned } = site;
    ofRank(site, input(0), 4);
    const image = turned(input(0), CHANNELS_FIRST);
    return turned(emit(op, [image], { blocksize: positive(node, "block_size") }), CHANNELS_LAST);
  },
  batch: rowwise(),
});

/** [batch, channels, height, width] as an input of Resize. */
function sizes(site: Site, image: string, size: readonly number[]): string {
  const dims = site.dims(site.input(0));
  const [batch, channels] = [dims[0], dims[3]];
  if (typeof batch === "number" && typeof channels === "number") return site.list([batch, channels, ...size]);
  const shape = site.emit("Shape", [image], { start: 0, end: 2 });
  return site.emit("Concat", [shape, site.list(size)], { axis: 0 });
}

/** Where an element of the result lies in the image. */
function coordinates({ node }: Site, size: readonly number[]): string {
  const [corners, half] = [flag(node, "align_corners"), flag(node, "half_pixel_centers")];
  if (corners && half) return refuse(node, "align_corners and half_pixel_centers exclude each other");
  if (corners && size.includes(1)) return refuse(node, "align_corners to a length of 1 has no equal in ONNX");
  return corners ? "align_corners" : half ? "half_pixel" : "asymmetric";
}

const resize = (attributes: (coordinates: string) => Attributes): ConversionRow => ({
  convert: (site) => {
    const { node, input, emit, turned } = site;
    ofRank(site, input(0), 4);
    const size = constantInts(site, 1, "size");
    if (size.length !== 2 || size.some((length) => length < 1))
      refuse(node, `its size is [${size}]; the file is damaged`);
    const mode = coordinates(site, size);
    const image = turned(input(0), CHANNELS_FIRST);
    const made = { coordinate_transformation_mode: mode, ...attributes(mode) };
    return turned(emit("Resize", [image, "", "", sizes(site, image, size)], made), CHANNELS_LAST);
  },
  batch: rowwise(),
});

/** Between centers TFLite rounds halves up, without them it takes the element before. */
const nearest = (mode: string): Attributes => ({
  mode: "nearest",
  nearest_mode: mode === "asymmetric" ? "floor" : "round_prefer_ceil",
});

/** Block lengths and what is padded or cut, [[before, after], ...], one per block axis. */
function blockArguments(site: Site) {
  const { node, input } = site;
  const [block, edges] = [constantInts(site, 1, "block shape"), constantInts(site, 2, "edges")];
  const rank = site.dims(input(0)).length;
  const legal = block.every((length) => length >= 1) && edges.every((length) => length >= 0);
  if (!legal || edges.length !== 2 * block.length || block.length >= rank)
    refuse(node, `blocks of [${block}] with edges [${edges}] do not fit ${rank} axes; the file is damaged`);
  const dims = site.dims(input(0));
  return { block, before: edges.filter((_, i) => i % 2 === 0), after: edges.filter((_, i) => i % 2 === 1), dims };
}

const open = (dims: readonly (number | null)[]): readonly number[] => dims.map((length) => length ?? -1);

/** Axes of [batch, image / block, block, ..., rest] in the order [block, ..., batch, image / block, ..., rest]. */
function blocksFirst(count: number, rest: number): readonly number[] {
  const numbers = Array.from({ length: count }, (_, i) => i);
  const others = Array.from({ length: rest }, (_, i) => 1 + 2 * count + i);
  return [...numbers.map((i) => 2 + 2 * i), 0, ...numbers.map((i) => 1 + 2 * i), ...others];
}

const spaceToBatch: ConversionRow = {
  convert: (site) => {
    const { node, input, emit, list } = site;
    const { block, before, after, dims } = blockArguments(site);
    const rest = dims.slice(1 + block.length);
    const pads = [0, ...before, ...rest.map(() => 0), 0, ...after, ...rest.map(() => 0)];
    const padded = pads.every((count) => count === 0) ? input(0) : emit("Pad", [input(0), list(pads)]);
    const parts = block.map((length, i) => {
      const whole = known(node, dims[1 + i], "image size") + before[i]! + after[i]!;
      return whole % length === 0 ? whole / length : refuse(node, `blocks of ${length} do not divide ${whole}`);
    });
    const tail = rest.map((length) => known(node, length, "number of channels"));
    const split = emit("Reshape", [padded, list([-1, ...parts.flatMap((part, i) => [part, block[i]!]), ...tail])]);
    const moved = emit("Transpose", [split], { perm: blocksFirst(block.length, rest.length) });
    return emit("Reshape", [moved, list([-1, ...parts, ...tail])]);
  },
  batch: intoBatch(blockSize),
};

const batchToSpace: ConversionRow = {
  convert: (site) => {
    const { node, input, emit, list } = site;
    const { block, before, after, dims } = blockArguments(site);
    const rest = dims.slice(1 + block.length);
    const tail = open(rest.map((length) => known(node, length, "number of channels")));
    const image = block.map((_, i) => known(node, dims[1 + i], "image size"));
    const split = emit("Reshape", [input(0), list([...block, -1, ...image, ...tail])]);
    const moved = emit("Transpose", [split], { perm: inverse(blocksFirst(block.length, rest.length)) });
    const whole = image.map((length, i) => length * block[i]!);
    const joined = emit("Reshape", [moved, list([-1, ...whole, ...tail])]);
    if ([...before, ...after].every((cut) => cut === 0)) return joined;
    const ends = whole.map((length, i) => length - after[i]!);
    return emit("Slice", [joined, list(before), list(ends), list(block.map((_, i) => 1 + i))]);
  },
  batch: outOfBatch(blockSize),
};

/** Blocks of one sample. */
function blockSize({ node, ints }: BatchSite): number | undefined {
  return ints(node.inputs[1] ?? "")?.reduce((product, length) => product * length, 1);
}

export const imageRows = {
  SPACE_TO_DEPTH: blocks("SpaceToDepth"),
  DEPTH_TO_SPACE: blocks("DepthToSpace"),
  SPACE_TO_BATCH_ND: spaceToBatch,
  BATCH_TO_SPACE_ND: batchToSpace,
  RESIZE_BILINEAR: resize(() => ({ mode: "linear" })),
  RESIZE_NEAREST_NEIGHBOR: resize(nearest),
} satisfies Readonly<Record<string, ConversionRow>>;
