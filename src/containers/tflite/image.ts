/** The part of a file that holds its structure, in memory; the weights between are left where they are. */
import type { ByteSource } from "../../ir/source.ts";
import { fail } from "../../numeric/errors.ts";
import { MAX_STRUCTURE_BYTES } from "./limits.ts";

/** Bytes from `start` (included) to `end` of a file. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

interface Segment extends Range {
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

/** What was found at a position: `view` and `bytes` begin at byte `base` of the file. */
export interface Place {
  readonly view: DataView;
  readonly bytes: Uint8Array;
  readonly base: number;
}

/** The bytes of a file that are in memory, by their positions in the file. */
export interface Image {
  /** Bytes of the whole file. */
  readonly size: number;
  /** Bytes of it in memory. */
  readonly held: number;
  /** The place of `length` bytes at `start`; fails with code "format" when they are outside or inside a buffer. */
  find(start: number, length: number, what: string): Place;
}

/** What lies between ranges, which may overlap. */
function between(ranges: readonly Range[], size: number): readonly Range[] {
  const gaps: Range[] = [];
  let from = 0;
  for (const { start, end } of [...ranges].sort((a, b) => a.start - b.start)) {
    if (start > from) gaps.push({ start: from, end: start });
    from = Math.max(from, end);
  }
  if (size > from) gaps.push({ start: from, end: size });
  return gaps;
}

async function segment(source: ByteSource, { start, end }: Range): Promise<Segment> {
  const bytes = await source.read(start, end - start);
  return { start, end, bytes, view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength) };
}

/** Last segment that begins at or before `start`. */
function search(segments: readonly Segment[], start: number): Segment | undefined {
  let [low, high] = [0, segments.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (segments[middle]!.start <= start) low = middle + 1;
    else high = middle;
  }
  return segments[low - 1];
}

/** Loads a file but for its `holes`. Fails with code "limit" when what is left is absurdly large. */
export async function loadImage(source: ByteSource, holes: readonly Range[]): Promise<Image> {
  const { size } = source;
  const ranges = between(holes, size);
  const held = ranges.reduce((sum, { start, end }) => sum + end - start, 0);
  if (held > MAX_STRUCTURE_BYTES)
    fail(
      "limit",
      `tflite: ${held} bytes of the file are not weights, more than the ${MAX_STRUCTURE_BYTES} allowed; it is damaged or hostile`,
    );
  const segments: Segment[] = [];
  for (const range of ranges) segments.push(await segment(source, range));
  let last: Segment | undefined;
  return {
    size,
    held,
    find(start, length, what) {
      if (!(start >= 0 && start + length <= size))
        return fail(
          "format",
          `tflite: ${what} would lie at bytes ${start} to ${start + length} of a file of ${size}; it is truncated or damaged`,
        );
      if (last === undefined || start < last.start || start + length > last.end) last = search(segments, start);
      if (last === undefined || start + length > last.end)
        return fail("format", `tflite: ${what} at byte ${start} lies inside the data of a buffer; the file is damaged`);
      return { view: last.view, bytes: last.bytes, base: last.start };
    },
  };
}
