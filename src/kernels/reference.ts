/** The kernels again, slow and obvious: one value at a time, no packing, no tricks. What the fast ones must equal. */
import type { AxisGrid } from "./axis.ts";
import type { BlockGrid, RoundScale } from "./blocks.ts";
import { CLIP_SHARES } from "./clip.ts";
import type { CodeTable } from "./codebook.ts";
import type { MatrixShape } from "./runs.ts";

const { fround } = Math;

/** One block: its scale, its zero point and one code per value. */
export interface ReferenceBlock {
  readonly scale: number;
  readonly zero: number;
  readonly codes: readonly number[];
}

/** Values of every block, row by row. */
export function blocksOf(
  values: Float32Array,
  { n, k, stored }: MatrixShape,
  size: number,
): readonly (readonly number[])[] {
  const at = (row: number, i: number): number => values[stored === "nk" ? row * k + i : i * n + row]!;
  const starts = Array.from({ length: Math.ceil(k / size) }, (_, block) => block * size);
  const rows = Array.from({ length: n }, (_, row) => row);
  return rows.flatMap((row) =>
    starts.map((start) => Array.from({ length: Math.min(size, k - start) }, (_, i) => at(row, start + i))),
  );
}

const clamp = (x: number, top: number): number => Math.min(Math.max(x, 0), top);

/** Half away from zero; below zero everything is clamped afterwards. */
const roundUp = (x: number): number => Math.floor(x + 0.5);

function onGrid(block: readonly number[], share: number, grid: BlockGrid, round: RoundScale): ReferenceBlock {
  const top = 2 ** grid.bits - 1;
  const middle = 2 ** (grid.bits - 1);
  const min = Math.min(...block, 0) * share;
  const max = Math.max(...block, 0) * share;
  const exact = grid.symmetric ? fround((max > -min ? max : min) / -middle) : fround(fround(max - min) / top);
  const zero = grid.symmetric ? middle : exact === 0 ? 0 : clamp(roundUp(fround(-min / exact)), top);
  const scale = round(exact);
  const reciprocal = scale === 0 ? 0 : fround(1 / scale);
  const codes = block.map((value) => clamp(roundUp(fround(fround(value * reciprocal) + zero)), top));
  return { scale, zero, codes };
}

/** Round to nearest on the grid that covers the block. */
export const referenceBlock = (block: readonly number[], grid: BlockGrid, round: RoundScale): ReferenceBlock =>
  onGrid(block, 1, grid, round);

/** Sum of squared differences between values and what their codes stand for. */
export const errorOf = (block: readonly number[], { scale, zero, codes }: ReferenceBlock): number =>
  block.reduce((sum, value, i) => sum + (value - (codes[i]! - zero) * scale) ** 2, 0);

/** The least squared error among all clipped grids of a block. */
export const leastError = (block: readonly number[], grid: BlockGrid, round: RoundScale): number =>
  Math.min(...CLIP_SHARES[grid.bits].map((share) => errorOf(block, onGrid(block, share, grid, round))));

/** Code of a scaled value: passes every bound below it. */
export const referenceCode = (scaled: number, { bounds, codes }: CodeTable): number =>
  codes[bounds.filter((bound) => scaled > bound).length]!;

/** Nearest even integer. */
function roundEven(x: number): number {
  const down = Math.floor(x);
  if (x - down !== 0.5) return Math.round(x);
  return down % 2 === 0 ? down : down + 1;
}

/** Scale, zero point and codes of all values of one channel. */
export function referenceChannel(
  values: readonly number[],
  { min, max, symmetric }: AxisGrid,
  signed: boolean,
): ReferenceBlock {
  const low = Math.min(...values, 0);
  const high = Math.max(...values, 0);
  const peak = Math.max(-low, high);
  const exact = fround(symmetric ? peak + peak : high - low) / (max - min);
  const tiny = exact < 2 ** -126;
  const scale = tiny ? 1 : fround(exact);
  const zero = tiny ? 0 : symmetric ? roundEven((min + max) / 2) : roundEven(min - low / exact);
  const [least, most] = signed ? [-128, 127] : [0, 255];
  const codes = values.map((value) => Math.min(Math.max(roundEven(fround(value / scale)) + zero, least), most));
  return { scale, zero, codes };
}
