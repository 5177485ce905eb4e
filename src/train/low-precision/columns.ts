/** Convolutions as matrix products: what each window sees becomes a row. */
import { intsAttribute } from "../../ir/attributes.ts";
import type { Node } from "../../ir/model.ts";
import type { Writer } from "../writer.ts";
import type { Codes } from "./codes.ts";

/** How windows move; every list has an entry for each positions axis. */
export interface Steps {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly begins: readonly number[];
  readonly ends: readonly number[];
}

/** Steps of a convolution whose pads are written out. */
export function stepsOf(node: Node, kernel: readonly number[]): Steps {
  const each = (name: string) => intsAttribute(node, name) ?? kernel.map(() => 1);
  const pads = intsAttribute(node, "pads") ?? [...kernel, ...kernel].map(() => 0);
  const [begins, ends] = [pads.slice(0, kernel.length), pads.slice(kernel.length)];
  return { kernel, strides: each("strides"), dilations: each("dilations"), begins, ends };
}

/** Distance from the first to the last element of a window. */
export const reachOf = ({ kernel, dilations }: Steps): readonly number[] =>
  kernel.map((length, axis) => dilations[axis]! * (length - 1));

/** The way back over strides of 1: windows that see all gradients an element had a part in, taps in reverse order. */
export function stepsBack(steps: Steps): Steps {
  const reach = reachOf(steps);
  const rest = (pads: readonly number[]) => pads.map((pad, axis) => reach[axis]! - pad);
  return { ...steps, begins: rest(steps.begins), ends: rest(steps.ends) };
}

/** Axes of [N, C, ..] in the order of [N, .., C]. */
export const channelsLast = (rank: number): readonly number[] => [0, ...range(2, rank), 1];
/** Axes of [N, .., C] in the order of [N, C, ..]. */
export const channelsFirst = (rank: number): readonly number[] => [0, rank - 1, ...range(1, rank - 1)];
/** from, from + 1, .. up to before `to`. */
export const range = (from: number, to: number): readonly number[] =>
  Array.from({ length: to - from }, (_, index) => from + index);

/** All index vectors below `lengths`, last axis fastest. */
const taps = (lengths: readonly number[]): readonly (readonly number[])[] =>
  lengths.reduce<readonly (readonly number[])[]>(
    (found, length) => found.flatMap((start) => range(0, length).map((index) => [...start, index])),
    [[]],
  );

/** Codes of [N, C, ..] with their channels last and filled up with the code of zero. */
function padded({ emit, ints }: Writer, { codes, zero }: Required<Codes>, { begins, ends }: Steps): string {
  const last = emit("Transpose", [codes], { perm: channelsLast(begins.length + 2) });
  if ([...begins, ...ends].every((pad) => pad === 0)) return last;
  return emit("Pad", [last, ints([0, ...begins, 0, 0, ...ends, 0]), zero]);
}

/** One slice for each tap: the elements it sees, [N, windows.., C]. */
function slices(writer: Writer, value: string, steps: Steps): readonly string[] {
  const { emit, ints } = writer;
  const { kernel, strides, dilations } = steps;
  if ([...kernel, ...strides].every((length) => length === 1)) return [value];
  const reach = reachOf(steps);
  const axes = ints(range(1, kernel.length + 1));
  return taps(kernel).map((tap) => {
    const start = tap.map((index, axis) => index * dilations[axis]!);
    const end = start.map((from, axis) => (from === reach[axis] ? Number.MAX_SAFE_INTEGER : from - reach[axis]!));
    return emit("Slice", [value, ints(start), ints(end), axes, ints(strides)]);
  });
}

/** A matrix with a row for each window, and how many windows there are: the shape [N, windows..]. */
export interface Columns {
  readonly rows: Required<Codes>;
  readonly windows: string;
}

/** Rows of taps and channels, channels fastest, for codes of [N, C, ..]; with `reverse` the last tap comes first. */
export function columns(
  writer: Writer,
  codes: Required<Codes>,
  channels: number,
  steps: Steps,
  reverse = false,
): Columns {
  const { emit, ints } = writer;
  const seen = slices(writer, padded(writer, codes, steps), steps);
  const rank = steps.kernel.length;
  const all = seen.length === 1 ? seen[0]! : emit("Concat", reverse ? seen.toReversed() : seen, { axis: rank + 1 });
  const rows = emit("Reshape", [all, ints([-1, channels * seen.length])]);
  const windows = emit("Slice", [emit("Shape", [all]), ints([0]), ints([rank + 1])]);
  return { rows: { ...codes, codes: rows }, windows };
}

/** A matrix of windows and channels as [N, C, ..]. */
export function fromRows(
  { emit, ints }: Writer,
  product: string,
  windows: string,
  channels: number,
  rank: number,
): string {
  const shape = emit("Concat", [windows, ints([channels])], { axis: 0 });
  return emit("Transpose", [emit("Reshape", [product, shape])], { perm: channelsFirst(rank) });
}
