/** Ops that cut, pad and pick. */
import { intAttribute } from "../../ir/attributes.ts";
import { type BatchRule, lookedUp, rowwise } from "../batch-state.ts";
import { axisOf, type ConversionRow, choice, constantInts, refuse, type Site } from "../row.ts";
import { type Cut, cutsOf, sliceCuts, stridedCuts, WHOLE } from "./cuts.ts";

/** Cuts along all axes at once; axes taken whole are left out, as is that of an open batch. */
function slice(site: Site, value: string, given: readonly Cut[]): string {
  const cuts = site.batched(value) ? given.with(0, WHOLE) : given;
  const axes = cuts.flatMap((cut, axis) => (cut.whole ? [] : [axis]));
  if (axes.length === 0) return value;
  const column = (pick: (cut: Cut) => number) => site.list(axes.map((axis) => pick(cuts[axis]!)));
  return site.emit("Slice", [
    value,
    column(({ start }) => start),
    column(({ end }) => end),
    site.list(axes),
    column(({ step }) => step),
  ]);
}

/** Cuts must leave the first axis whole. */
const wholeSamples =
  (
    of: (site: Parameters<BatchRule>[0]) => { readonly axes: readonly Cut[]; readonly added?: readonly number[] },
  ): BatchRule =>
  (site) => {
    const { axes, added = [] } = of(site);
    const kept = axes[0]?.whole === true && !axes[0].dropped && !added.includes(0);
    return kept ? rowwise(0, 1)(site) : { reason: "it cuts samples" };
  };

const sliced: ConversionRow = {
  convert: (site) => {
    const [begin, size] = [constantInts(site, 1, "begin"), constantInts(site, 2, "size")];
    return slice(site, site.input(0), sliceCuts(site.node, site.dims(site.input(0)), begin, size));
  },
  batch: wholeSamples((site) => cutsOf(site, sliceCuts)),
};

const stridedSlice: ConversionRow = {
  convert: (site) => {
    const { node, input, dims, emit, list } = site;
    const lists = [1, 2, 3].map((index) => constantInts(site, index, ["begin", "end", "strides"][index - 1]!));
    const { axes, added } = stridedCuts(node, dims(input(0)), lists);
    const cut = slice(site, input(0), axes);
    const gone = axes.flatMap(({ dropped }, axis) => (dropped ? [axis] : []));
    const dense = gone.length === 0 ? cut : emit("Squeeze", [cut, list(gone)]);
    return added.length === 0 ? dense : emit("Unsqueeze", [dense, list(added)]);
  },
  batch: wholeSamples((site) => {
    const lists = [1, 2, 3].map((index) => site.ints(site.node.inputs[index] ?? "") ?? []);
    return stridedCuts(site.node, site.dims(site.node.inputs[0]!), lists);
  }),
};

/** [[before, after], ...] for each axis. */
function edges(site: Site): readonly (readonly [number, number])[] {
  const flat = constantInts(site, 1, "padding");
  const rank = site.dims(site.input(0)).length;
  if (flat.length !== 2 * rank || flat.some((count) => count < 0))
    refuse(site.node, `padding [${flat}] does not fit ${rank} axes; the file is damaged`);
  return Array.from({ length: rank }, (_, axis) => [flat[2 * axis]!, flat[2 * axis + 1]!]);
}

/** All befores, then all afters. */
const inOrder = (sides: readonly (readonly [number, number])[]): readonly number[] => [
  ...sides.map(([before]) => before),
  ...sides.map(([, after]) => after),
];

const unpaddedSamples: BatchRule = (site) => {
  const [before, after] = site.ints(site.node.inputs[1]!) ?? [];
  return before === 0 && after === 0 ? rowwise(0, 1)(site) : { reason: "it pads the batch" };
};

/** PADV2 has the value to pad with as a third input, of one element. */
const pad: ConversionRow = {
  convert: (site) => {
    const { input, optional, emit, list } = site;
    const value = optional(2);
    const scalar = value === undefined ? [] : [emit("Reshape", [value, list([])])];
    return emit("Pad", [input(0), list(inOrder(edges(site))), ...scalar]);
  },
  batch: unpaddedSamples,
};

/** Mirrors with the border element, which ONNX's Pad does not: a piece read backwards on either side. */
function symmetric(site: Site): string {
  const piece = (value: string, axis: number, start: number, end: number): string =>
    site.emit("Slice", [value, site.list([start]), site.list([end]), site.list([axis]), site.list([-1])]);
  return edges(site).reduce((value, [before, after], axis) => {
    const front = before === 0 ? [] : [piece(value, axis, before - 1, Number.MIN_SAFE_INTEGER)];
    const back = after === 0 ? [] : [piece(value, axis, -1, -after - 1)];
    const all = [...front, value, ...back];
    return all.length === 1 ? value : site.emit("Concat", all, { axis });
  }, site.input(0));
}

const mirrorPad: ConversionRow = {
  convert: (site) =>
    choice(site.node, "mode", "REFLECT") === "SYMMETRIC"
      ? symmetric(site)
      : site.emit("Pad", [site.input(0), site.list(inOrder(edges(site)))], { mode: "reflect" }),
  batch: unpaddedSamples,
};

const gather: ConversionRow = {
  convert: ({ node, input, dims, emit }) => {
    const dimensions = intAttribute(node, "batch_dims", 0);
    if (dimensions !== 0)
      refuse(node, `batch_dims ${dimensions} has no equal in ONNX's Gather; only 0 can be converted`);
    const axis = axisOf(node, intAttribute(node, "axis", 0), dims(input(0)).length);
    return emit("Gather", [input(0), input(1)], { axis });
  },
  batch: lookedUp(0, 1, "axis"),
};

const gatherNd: ConversionRow = {
  convert: ({ input, int64, emit }) => emit("GatherND", [input(0), int64(input(1))]),
  batch: (site) => (site.state(site.node.inputs[0]!) === undefined ? rowwise(1)(site) : { reason: "it picks samples" }),
};

/** Inputs: positions, table. */
const embeddingLookup: ConversionRow = {
  convert: ({ input, emit }) => emit("Gather", [input(1), input(0)], { axis: 0 }),
  batch: lookedUp(1, 0),
};

export const partRows = {
  SLICE: sliced,
  STRIDED_SLICE: stridedSlice,
  PAD: pad,
  PADV2: pad,
  MIRROR_PAD: mirrorPad,
  GATHER: gather,
  GATHER_ND: gatherNd,
  EMBEDDING_LOOKUP: embeddingLookup,
} satisfies Readonly<Record<string, ConversionRow>>;
