/**
 * Arithmetic of 8-bit weights, in the order onnxruntime's Python quantizer does it (quant_utils.py: compute_scale_zp,
 * quantize_nparray), so that codes, scales and zero points come out equal to the last bit.
 */
import type { QParams, Scheme } from "../ir/scheme.ts";
import { fail } from "../numeric/errors.ts";
import { roundToOdd } from "../numeric/rounding.ts";

/** `min`, `max`: the codes a range is spread over. `low`, `high`: what codes are clipped to. */
export interface Grid {
  readonly min: number;
  readonly max: number;
  readonly low: number;
  readonly high: number;
  readonly symmetric: boolean;
  /** Odd codes only. */
  readonly odd?: boolean;
}

type Span = readonly [number, number];

/** Rows: full asymmetric, full symmetric, reduced by one bit. */
const SPANS: Readonly<Record<string, { readonly full: Span; readonly symmetric: Span; readonly reduced: Span }>> = {
  int8: { full: [-128, 127], symmetric: [-127, 127], reduced: [-64, 64] },
  uint8: { full: [0, 255], symmetric: [0, 255], reduced: [0, 127] },
};

/** The grid of a scheme whose codes are int8 or uint8, or a symmetric one of fewer codes. */
export function gridOf(scheme: Scheme): Grid {
  if (scheme.codes !== undefined && scheme.symmetric) {
    const [low, high] = scheme.codes;
    return { min: -high, max: high, low, high, symmetric: true, ...(scheme.odd && { odd: true }) };
  }
  const spans = SPANS[scheme.dtype] ?? fail("unsupported", `8-bit weights are int8 or uint8, not ${scheme.dtype}`);
  const [min, max] = scheme.reduceRange ? spans.reduced : scheme.symmetric ? spans.symmetric : spans.full;
  return { min, max, low: spans.full[0], high: spans.full[1], symmetric: scheme.symmetric };
}

/** Adding and subtracting it rounds a double below 2^51 to the nearest integer, ties to even. */
const ROUND = 1.5 * 2 ** 52;
const roundEven = (x: number): number => x + ROUND - ROUND;

/** Smallest normal float32; a scale below it means that all values are (nearly) zero. */
const TINY = 2 ** -126;

/** Scale and zero point for values in [low, high]; the range is widened to hold zero. */
export function affine(low: number, high: number, grid: Grid): readonly [scale: number, zeroPoint: number] {
  let min = Math.min(low, 0);
  let max = Math.max(high, 0);
  if (grid.symmetric) {
    max = Math.max(-min, max);
    min = -max;
  }
  const scale = Math.fround(max - min) / (grid.max - grid.min);
  if (scale < TINY) return [1, 0];
  const zeroPoint = grid.symmetric ? roundEven((grid.min + grid.max) / 2) : roundEven(grid.min - min / scale);
  return [Math.fround(scale), zeroPoint];
}

/** `blocks` matrices of `rows` x `cols`, row-major; channels are each one's columns or rows, or there is one for all. */
export interface Layout {
  readonly blocks: number;
  readonly rows: number;
  readonly cols: number;
  readonly channels: "all" | "columns" | "rows";
}

/** Number of scales. */
export const channelCount = ({ blocks, rows, cols, channels }: Layout): number =>
  channels === "all" ? 1 : blocks * (channels === "rows" ? rows : cols);

interface Extents {
  readonly min: Float32Array;
  readonly max: Float32Array;
}

function columnExtents(x: Float32Array, { blocks, rows, cols }: Layout): Extents {
  const min = new Float32Array(blocks * cols);
  const max = new Float32Array(blocks * cols);
  for (let block = 0, i = 0; block < blocks; block++)
    for (let row = 0; row < rows; row++)
      for (let c = block * cols, end = c + cols; c < end; c++, i++) {
        const value = x[i]!;
        if (value < min[c]!) min[c] = value;
        if (value > max[c]!) max[c] = value;
      }
  return { min, max };
}

/** Each of `count` channels is a run of neighbours. */
function runExtents(x: Float32Array, count: number): Extents {
  const min = new Float32Array(count);
  const max = new Float32Array(count);
  const length = x.length / count;
  for (let c = 0, i = 0; c < count; c++) {
    let low = 0;
    let high = 0;
    for (const end = i + length; i < end; i++) {
      const value = x[i]!;
      if (value < low) low = value;
      else if (value > high) high = value;
    }
    min[c] = low;
    max[c] = high;
  }
  return { min, max };
}

/** One scale and zero point per channel. */
export function channelParams(x: Float32Array, layout: Layout, grid: Grid): QParams {
  const count = channelCount(layout);
  const { min, max } = layout.channels === "columns" ? columnExtents(x, layout) : runExtents(x, count);
  const scale = new Float32Array(count);
  const zeroPoint = new Int32Array(count);
  for (let c = 0; c < count; c++) [scale[c], zeroPoint[c]] = affine(min[c]!, max[c]!, grid);
  return { scale, zeroPoint };
}

/**
 * Codes in the order of `x`: clip(round(x / scale) + zeroPoint), divided in float32, ties to even, or up where codes are odd.
 * `out` is an Int8Array or a Uint8Array after the grid.
 */
export function quantize(
  x: Float32Array,
  layout: Layout,
  { scale, zeroPoint }: QParams,
  { low, high, odd = false }: Grid,
  out: Int8Array | Uint8Array,
): void {
  const { blocks, rows, cols, channels } = layout;
  const perRow = channels === "rows" ? 1 : 0;
  const perColumn = channels === "columns" ? 1 : 0;
  for (let row = 0, i = 0; row < blocks * rows; row++) {
    const first = perRow * row + perColumn * cols * Math.floor(row / rows);
    for (let col = 0; col < cols; col++, i++) {
      const c = first + perColumn * col;
      const steps = Math.fround(x[i]! / scale[c]!);
      const code = (odd ? roundToOdd(steps) : roundEven(steps)) + zeroPoint[c]!;
      out[i] = code < low ? low : code > high ? high : code;
    }
  }
}

/** Rows that are turned together, so that writes fill whole cache lines. */
const TILE = 32;

/** Bytes of a `rows` x `cols` matrix as `cols` x `rows`. */
export function transposeBytes(bytes: Uint8Array, rows: number, cols: number): Uint8Array {
  const out = new Uint8Array(bytes.length);
  for (let top = 0; top < rows; top += TILE) {
    const bottom = Math.min(rows, top + TILE);
    for (let col = 0; col < cols; col++)
      for (let row = top; row < bottom; row++) out[col * rows + row] = bytes[row * cols + col]!;
  }
  return out;
}
