/**
 * Affine codes in blocks along the reduction axis of a matrix, the layout of MatMulNBits (ONNX Runtime's contrib
 * operators): `[n, ceil(k / size), size * bits / 8]`, packed low bits first, always unsigned. All arithmetic is float32,
 * in the order of ONNX Runtime's own quantizer (mlas q4_dq), so that files compare byte for byte.
 */
import type { MatrixShape, Run } from "./runs.ts";

/** `size` is a power of two, at least 16. Symmetric grids have their zero at 2^(bits-1). */
export interface BlockGrid {
  readonly bits: 2 | 4 | 8;
  readonly size: number;
  readonly symmetric: boolean;
}

/** One per block of the whole matrix, `[n, ceil(k / size)]`; zero points not packed. */
export interface BlockParams {
  readonly scales: Float32Array;
  readonly zeroPoints: Uint8Array;
}

/** How a scale is stored: unchanged for float32 files, rounded to half precision for float16 files. */
export type RoundScale = (scale: number) => number;

export const blockCount = ({ n, k }: MatrixShape, { size }: BlockGrid): number => n * Math.ceil(k / size);

/** Bytes of the codes of one block. */
export const blockBytes = ({ size, bits }: BlockGrid): number => (size * bits) / 8;

/**
 * Smallest value or -0, and largest value or 0, of `words[from, to)` read as float32, to `range`. Integer arithmetic on
 * the bits has no branch to mispredict; magnitudes of floats compare like integers.
 */
export function extent(words: Int32Array, from: number, to: number, range: Int32Array): void {
  let high = 0;
  let low = 0;
  for (let i = from; i < to; i++) {
    const word = words[i]!;
    const sign = word >> 31;
    const up = high - (word & ~sign);
    const down = low - (word & sign & 0x7fffffff);
    high -= up & (up >> 31);
    low -= down & (down >> 31);
  }
  range[0] = low | 0x80000000;
  range[1] = high;
}

/** Largest code of a grid. */
export const topCode = ({ bits }: BlockGrid): number => (1 << bits) - 1;

/** Puts the value of larger magnitude on the lowest code, the one without a positive twin. */
export const symmetricScale = (min: number, max: number, top: number): number =>
  Math.fround((-2 * (max > -min ? max : min)) / (top + 1));

export const asymmetricScale = (min: number, max: number, top: number): number =>
  Math.fround(Math.fround(max - min) / top);

/** The code of 0.0, from the scale before it is rounded for storage. */
export const zeroPointOf = (min: number, scale: number, top: number): number =>
  scale === 0 ? 0 : Math.min((Math.fround(-min / scale) + 0.5) | 0, top);

/** Scale and zero point of every block of a run, from its smallest and largest value. */
export function blockScales(run: Run, grid: BlockGrid, round: RoundScale, { scales, zeroPoints }: BlockParams): void {
  const { values, words, length, count, stride } = run;
  const { symmetric } = grid;
  const top = topCode(grid);
  const range = new Float32Array(2);
  const rangeWords = new Int32Array(range.buffer);
  for (let i = 0, from = 0, block = run.at; i < count; i++, from += length, block += stride) {
    extent(words, from, from + length, rangeWords);
    const min = range[0]!;
    const max = range[1]!;
    if (!symmetric) {
      const scale = asymmetricScale(min, max, top);
      scales[block] = round(scale);
      zeroPoints[block] = zeroPointOf(min, scale, top);
    } else {
      scales[block] = min === max ? -values[from]! : round(symmetricScale(min, max, top));
      zeroPoints[block] = (top + 1) >> 1;
    }
  }
}

/** 1 / scale in float32; 0 for a block of zeros. */
export const reciprocalOf = (scale: number): number => (scale === 0 ? 0 : Math.fround(1 / scale));

/** round(value / scale + zero), half away from zero, clamped to [0, top]; what is not a number becomes 0. */
export const codeOf = (value: number, reciprocal: number, zero: number, top: number): number => {
  const exact = Math.fround(Math.fround(value * reciprocal) + zero);
  return exact > top ? top : exact > 0 ? (exact + 0.5) | 0 : 0;
};

type EncodeBlock = (
  values: Float32Array,
  from: number,
  to: number,
  reciprocal: number,
  zero: number,
  codes: Uint8Array,
  at: number,
) => void;

/** Each encodes the part of a block that fills whole bytes. */
const ENCODE: Readonly<Record<BlockGrid["bits"], EncodeBlock>> = {
  8(x, from, to, reciprocal, zero, codes, at) {
    for (let i = from; i < to; i++, at++) codes[at] = codeOf(x[i]!, reciprocal, zero, 255);
  },
  4(x, from, to, reciprocal, zero, codes, at) {
    for (let i = from; i + 2 <= to; i += 2, at++)
      codes[at] = codeOf(x[i]!, reciprocal, zero, 15) | (codeOf(x[i + 1]!, reciprocal, zero, 15) << 4);
  },
  2(x, from, to, reciprocal, zero, codes, at) {
    for (let i = from; i + 4 <= to; i += 4, at++)
      codes[at] =
        codeOf(x[i]!, reciprocal, zero, 3) |
        (codeOf(x[i + 1]!, reciprocal, zero, 3) << 2) |
        (codeOf(x[i + 2]!, reciprocal, zero, 3) << 4) |
        (codeOf(x[i + 3]!, reciprocal, zero, 3) << 6);
  },
};

/** Codes of every block of a run. `codes` must be zero before; bytes behind the end of a row stay so. */
export function encodeBlocks(run: Run, grid: BlockGrid, { scales, zeroPoints }: BlockParams, codes: Uint8Array): void {
  const { values, length, count, stride } = run;
  const bytes = blockBytes(grid);
  const encode = ENCODE[grid.bits];
  const ragged = (length * grid.bits) % 8 !== 0;
  for (let i = 0, from = 0, block = run.at; i < count; i++, from += length, block += stride) {
    const reciprocal = reciprocalOf(scales[block]!);
    encode(values, from, from + length, reciprocal, zeroPoints[block]!, codes, block * bytes);
    if (ragged) encodeTail(run, from, block, grid, reciprocal, zeroPoints[block]!, codes);
  }
}

/**
 * The last, partly used byte of a row. Its high bits repeat those of the byte before, unless it is the first byte of a
 * group of 8 / bits blocks: ONNX Runtime's quantizer leaves them like that, and engines ignore them.
 */
function encodeTail(
  { values, length, blocks }: Run,
  from: number,
  block: number,
  grid: BlockGrid,
  reciprocal: number,
  zero: number,
  codes: Uint8Array,
): void {
  const { bits } = grid;
  const perByte = 8 / bits;
  const top = topCode(grid);
  const whole = length - (length % perByte);
  const at = block * blockBytes(grid) + whole / perByte;
  let byte = whole === 0 && (block % blocks) % perByte === 0 ? 0 : codes[at - 1]!;
  for (let i = whole, shift = 0; i < length; i++, shift += bits)
    byte = (byte & ~(top << shift)) | (codeOf(values[from + i]!, reciprocal, zero, top) << shift);
  codes[at] = byte;
}

/** Zero points packed like codes, `ceil(blocks * bits / 8)` bytes a row; places without a block hold 2^(bits-1). */
export function packZeroPoints(zeroPoints: Uint8Array, blocks: number, bits: BlockGrid["bits"]): Uint8Array {
  const perByte = 8 / bits;
  const bytes = Math.ceil(blocks / perByte);
  const packed = new Uint8Array((zeroPoints.length / blocks) * bytes);
  for (let at = 0; at < packed.length; at++) {
    const row = Math.floor(at / bytes) * blocks;
    const first = (at % bytes) * perByte;
    let byte = 0;
    for (let i = 0; i < perByte; i++)
      byte |= (first + i < blocks ? zeroPoints[row + first + i]! : 1 << (bits - 1)) << (i * bits);
    packed[at] = byte;
  }
  return packed;
}

/** The values that codes stand for, `[n, k]`. */
export function decodeBlocks(
  codes: Uint8Array,
  { n, k }: MatrixShape,
  { bits, size }: BlockGrid,
  { scales, zeroPoints }: BlockParams,
): Float32Array {
  const blocks = Math.ceil(k / size);
  const rows = new Float32Array(n * k);
  for (let block = 0, at = 0; block < n * blocks; block++) {
    const length = Math.min(size, k - (block % blocks) * size);
    const zero = zeroPoints[block]!;
    const scale = scales[block]!;
    for (let i = 0, bit = block * size * bits; i < length; i++, at++, bit += bits)
      rows[at] = (((codes[bit >> 3]! >> (bit & 7)) & (2 ** bits - 1)) - zero) * scale;
  }
  return rows;
}
