/**
 * Where the samples of a batch are. TFLite files mostly fix the batch at 1; training and evaluation want any number, so
 * conversion follows the first axis of the inputs through the graph, and opens it where every node allows that.
 */
import { intAttribute } from "../ir/attributes.ts";
import type { Node } from "../ir/model.ts";

/** Length of each axis; null where it is open. */
export type Dims = readonly (number | null)[];

/** Axis 0 of a value has `rows` entries for each sample. */
export interface BatchState {
  readonly rows: number;
  /** The samples are the inner part of axis 0, as behind SPACE_TO_BATCH_ND; else one sample follows another. */
  readonly inner?: true;
}

/** What a batch rule may ask; `dims` are those of the file, the batch fixed. */
export interface BatchSite {
  readonly node: Node;
  dims(name: string): Dims;
  ints(name: string): readonly number[] | undefined;
  /** Undefined for values that are the same for all samples. */
  state(name: string): BatchState | undefined;
  /** Entries for each sample in an axis of this length; undefined when it is no multiple of the batch. */
  rowsIn(length: number | null | undefined): number | undefined;
}

/**
 * The state of a node's outputs; undefined when they are the same for all samples, or a reason why the batch can't be
 * opened. Only asked for nodes that read a value with samples.
 */
export type BatchRule = (site: BatchSite) => BatchState | undefined | { readonly reason: string };

const closed = (reason: string): { readonly reason: string } => ({ reason });
const MIXES = closed("it works across samples");

const isPlain = (state: BatchState): boolean => state.rows === 1 && state.inner === undefined;
const same = (a: BatchState, b: BatchState): boolean => a.rows === b.rows && a.inner === b.inner;

/** Does not reach along axis 0: of lower rank than the result, or of length 1 there. */
const broadcasts = (dims: Dims, rank: number): boolean => dims.length < rank || dims[0] === 1;

/** Elementwise with broadcasting: all batched inputs have the rank of the result, the others reach every sample. */
export const alike: BatchRule = ({ node, dims, state }) => {
  const names = node.inputs.filter((name) => name !== "");
  const rank = Math.max(...names.map((name) => dims(name).length));
  const states = names.map((name) => state(name));
  const first = states.find((found) => found !== undefined)!;
  const fits = names.every((name, i) => {
    const own = states[i];
    return own === undefined ? broadcasts(dims(name), rank) : same(own, first) && dims(name).length === rank;
  });
  return fits && rank > 0 ? first : closed("it combines values whose first axes differ");
};

/** Every row of input `slot` is worked on by itself, all other inputs are the same for all samples. */
export const rowwise =
  (slot = 0, least = 2): BatchRule =>
  ({ node, dims, state }) => {
    const others = node.inputs.some((name, i) => i !== slot && name !== "" && state(name) !== undefined);
    if (others) return closed("its parameters differ from sample to sample");
    return dims(node.inputs[slot]!).length >= least ? state(node.inputs[slot]!) : MIXES;
  };

/** The axes a node works along. */
type AxesOf = (site: BatchSite, rank: number) => readonly number[] | undefined;

const fromFront = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);

/** Works along axes that must not be the first; `grow` is what the result's rank has more than the input's. */
export const along =
  (axesOf: AxesOf, slot = 0, grow = 0): BatchRule =>
  (site) => {
    const name = site.node.inputs[slot]!;
    const rank = site.dims(name).length + grow;
    const axes = axesOf(site, rank);
    if (axes === undefined) return closed("the axes it works along are computed");
    return axes.some((axis) => fromFront(axis, rank) === 0) ? MIXES : rowwise(slot, 1)(site);
  };

/** Axes from an option. */
export const optionAxis =
  (name: string): AxesOf =>
  ({ node }) => [intAttribute(node, name, 0)];

/** Axes from a constant input. */
export const inputAxes =
  (index: number): AxesOf =>
  ({ node, ints }) =>
    ints(node.inputs[index] ?? "");

/** Joins values along an axis: all have samples, and in the same way. */
export const joined =
  (axisName: string, grow = 0): BatchRule =>
  ({ node, dims, state }) => {
    const states = node.inputs.map((name) => state(name));
    const rank = dims(node.inputs[0]!).length + grow;
    if (fromFront(intAttribute(node, axisName, 0), rank) === 0) return MIXES;
    const first = states[0];
    return first !== undefined && states.every((own) => own !== undefined && same(own, first))
      ? first
      : closed("it joins values of one sample with values of all");
  };

/** Memory order stays, and one sample follows another: the result's first axis tells. */
export const reshaped: BatchRule = ({ node, dims, state, rowsIn }) => {
  if (state(node.inputs[0]!)?.inner) return MIXES;
  const rows = rowsIn(dims(node.outputs[0]!)[0]);
  return rows === undefined ? closed("its result does not begin with the batch") : { rows };
};

/** Rows of matrices: without `keep_num_dims` all axes but the last become one, which must begin with the batch. */
export const alongRows: BatchRule = (site) => {
  const { node, dims, state, rowsIn } = site;
  const found = rowwise()(site);
  if (found === undefined || "reason" in found) return found;
  const rows = rowsIn(dims(node.outputs[0]!)[0]);
  if (rows === undefined) return closed("its result does not begin with the batch");
  return state(node.inputs[0]!)?.inner && rows !== found.rows ? MIXES : { ...found, rows };
};

/** Matrices stacked along axis 0, or shared by all samples. */
export const stacked: BatchRule = (site) => (site.dims(site.node.outputs[0]!).length > 2 ? alike(site) : matrix(site));

/** Of two matrices only the left one's rows can be samples. */
const matrix: BatchRule = (site) =>
  intAttribute(site.node, "adj_x", 0) === 0 ? rowwise(0)(site) : closed("it multiplies across samples");

/** Looks rows up: of a table with positions that have samples, or in every sample at the same positions. */
export const lookedUp =
  (table: number, positions: number, axisName?: string): BatchRule =>
  (site) => {
    const { node, state } = site;
    const axis = axisName === undefined ? 0 : intAttribute(node, axisName, 0);
    if (state(node.inputs[table]!) !== undefined) return along(() => [axis], table)(site);
    return axis === 0 ? state(node.inputs[positions]!) : closed("its positions differ from sample to sample");
  };

/** Gives something that does not have a first axis of samples, such as a shape. */
export const unbatched: BatchRule = () => undefined;

/** Not to be had for several samples at once. */
export const oneOnly: BatchRule = () => MIXES;

/** Moves blocks of every sample into the batch axis. */
export const intoBatch =
  (blockOf: (site: BatchSite) => number | undefined): BatchRule =>
  (site) => {
    const state = site.state(site.node.inputs[0]!);
    const block = blockOf(site);
    if (state === undefined || block === undefined || !isPlain(state)) return MIXES;
    return { rows: block, inner: true };
  };

/** Takes the blocks out again. */
export const outOfBatch =
  (blockOf: (site: BatchSite) => number | undefined): BatchRule =>
  (site) => {
    const state = site.state(site.node.inputs[0]!);
    return state?.inner && state.rows === blockOf(site) ? { rows: 1 } : MIXES;
  };

/** What leaves the graph must have one row for each sample. */
export const isSamples = (state: BatchState | undefined): boolean => state !== undefined && isPlain(state);
