/** What SLICE and STRIDED_SLICE take of each axis (TFLite kernels/strided_slice.cc, TensorFlow's tf.strided_slice). */

import { intAttribute } from "../../ir/attributes.ts";
import type { Node } from "../../ir/model.ts";
import type { BatchSite, Dims } from "../batch-state.ts";
import { flag, refuse } from "../row.ts";

/** Start, end and step of one axis as ONNX's Slice takes them. */
export interface Cut {
  readonly start: number;
  readonly end: number;
  readonly step: number;
  /** Every element, in order. */
  readonly whole: boolean;
  /** The axis goes, one element of it is taken. */
  readonly dropped: boolean;
}

/** To the end, in either direction; ONNX limits both to what is there. */
const LAST = Number.MAX_SAFE_INTEGER;
const FIRST = Number.MIN_SAFE_INTEGER;

/** All of an axis. */
export const WHOLE: Cut = { start: 0, end: LAST, step: 1, whole: true, dropped: false };

const reaches = (end: number, length: number | null | undefined): boolean =>
  end === LAST || (typeof length === "number" && end >= length);

/** `size` -1 is all that is left. */
export function sliceCuts(node: Node, dims: Dims, begin: readonly number[], size: readonly number[]): readonly Cut[] {
  if (begin.length !== dims.length || size.length !== dims.length)
    refuse(node, `begin [${begin}] and size [${size}] do not fit ${dims.length} axes; the file is damaged`);
  return dims.map((length, axis) => {
    const start = begin[axis]!;
    const end = size[axis] === -1 ? LAST : start + size[axis]!;
    return { start, end, step: 1, whole: start === 0 && reaches(end, length), dropped: false };
  });
}

/** Cuts of a SLICE whose arguments are constants; none otherwise. */
export function cutsOf({ node, dims, ints }: BatchSite, cuts: typeof sliceCuts): { readonly axes: readonly Cut[] } {
  const [begin, size] = [ints(node.inputs[1] ?? ""), ints(node.inputs[2] ?? "")];
  return { axes: begin && size ? cuts(node, dims(node.inputs[0]!), begin, size) : [] };
}

interface Masks {
  readonly begin: number;
  readonly end: number;
  readonly ellipsis: number;
  readonly added: number;
  readonly shrink: number;
  /** The ends count from the begins. */
  readonly offset: boolean;
}

const masksOf = (node: Node): Masks => ({
  begin: intAttribute(node, "begin_mask", 0),
  end: intAttribute(node, "end_mask", 0),
  ellipsis: intAttribute(node, "ellipsis_mask", 0),
  added: intAttribute(node, "new_axis_mask", 0),
  shrink: intAttribute(node, "shrink_axis_mask", 0),
  offset: flag(node, "offset"),
});

const has = (mask: number, index: number): boolean => ((mask >> index) & 1) === 1;

/** What the entries at `index` of begin, end and strides say about one axis. */
function cutAt(masks: Masks, index: number, lists: readonly (readonly number[])[], length: number | null): Cut {
  const [begin, end, step] = lists.map((list) => list[index]!) as [number, number, number];
  if (has(masks.shrink, index))
    return { start: begin, end: begin === -1 ? LAST : begin + 1, step: 1, whole: false, dropped: true };
  const [from, to] = step > 0 ? [0, LAST] : [LAST, FIRST];
  const start = has(masks.begin, index) ? from : begin;
  const stop = has(masks.end, index) ? to : masks.offset ? begin + end : end;
  return { start, end: stop, step, whole: step === 1 && start === 0 && reaches(stop, length), dropped: false };
}

/** Cuts by axis of the input, and where axes of length 1 are added to the result. */
export function stridedCuts(node: Node, dims: Dims, lists: readonly (readonly number[])[]) {
  const masks = masksOf(node);
  const count = lists[0]!.length;
  if (lists.some((list) => list.length !== count) || count > 31 || lists[2]!.includes(0))
    refuse(node, `begin, end and strides [${lists.join("], [")}] do not fit each other; the file is damaged`);
  const entries = Array.from({ length: count }, (_, index) => index);
  const own = entries.filter((index) => !has(masks.added, index) && !has(masks.ellipsis, index)).length;
  const axes: Cut[] = [];
  const added: number[] = [];
  let rank = 0;
  for (const index of entries) {
    if (has(masks.ellipsis, index)) for (let i = dims.length - own; i > 0; i--, rank++) axes.push(WHOLE);
    else if (has(masks.added, index)) added.push(rank++);
    else {
      const cut = cutAt(masks, index, lists, dims[axes.length] ?? null);
      axes.push(cut);
      if (!cut.dropped) rank++;
    }
  }
  if (axes.length > dims.length) refuse(node, `it cuts ${axes.length} of ${dims.length} axes; the file is damaged`);
  while (axes.length < dims.length) axes.push(WHOLE);
  return { axes, added };
}
