/**
 * Walks a matrix in blocks along its reduction axis, whichever way it is stored. What a kernel gets is a run: equally
 * long blocks side by side, few enough for the first-level cache when they had to be gathered from columns.
 */

/** Equally long blocks; block i of the run is block `at + i * stride` of the whole matrix. */
export interface Run {
  /** `[count, length]`, valid only during the visit. */
  readonly values: Float32Array;
  /** The same bytes as `values`. */
  readonly words: Int32Array;
  readonly length: number;
  readonly count: number;
  readonly at: number;
  readonly stride: number;
  /** Blocks in one row of the matrix. */
  readonly blocks: number;
}

/** `k` is the length of the reduction axis, `n` of the other; `stored` says which comes first in memory. */
export interface MatrixShape {
  readonly n: number;
  readonly k: number;
  readonly stored: "nk" | "kn";
}

/** Columns gathered together: four cache lines of a row. */
const TILE = 64;

const wordsOf = (values: Float32Array): Int32Array => new Int32Array(values.buffer, values.byteOffset, values.length);

/** Columns of `source` from element `from` on, each column's `length` values side by side. */
function gatherTile(source: Float32Array, n: number, from: number, length: number, count: number, out: Float32Array) {
  for (let i = 0; i < length; i++, from += n)
    for (let j = 0, to = i; j < count; j++, to += length) out[to] = source[from + j]!;
}

function eachTile(source: Float32Array, { n, k }: MatrixShape, size: number, visit: (run: Run) => void): void {
  const blocks = Math.ceil(k / size);
  const values = new Float32Array(TILE * Math.min(size, k));
  const words = wordsOf(values);
  for (let block = 0; block < blocks; block++) {
    const length = Math.min(size, k - block * size);
    for (let first = 0; first < n; first += TILE) {
      const count = Math.min(TILE, n - first);
      gatherTile(source, n, block * size * n + first, length, count, values);
      visit({ values, words, length, count, at: first * blocks + block, stride: blocks, blocks });
    }
  }
}

function eachRow(source: Float32Array, { n, k }: MatrixShape, size: number, visit: (run: Run) => void): void {
  const blocks = Math.ceil(k / size);
  const whole = Math.floor(k / size);
  const piece = (from: number, length: number, count: number, at: number): void => {
    const values = source.subarray(from, from + length * count);
    visit({ values, words: wordsOf(values), length, count, at, stride: 1, blocks });
  };
  if (whole === blocks) piece(0, size, n * blocks, 0);
  for (let row = 0; row < n && whole < blocks; row++) {
    if (whole > 0) piece(row * k, size, whole, row * blocks);
    piece(row * k + whole * size, k - whole * size, 1, row * blocks + whole);
  }
}

/** Visits every block of `size` along the reduction axis; the last of a row may be shorter and comes after the others. */
export const eachRun = (values: Float32Array, shape: MatrixShape, size: number, visit: (run: Run) => void): void =>
  (shape.stored === "nk" ? eachRow : eachTile)(values, shape, size, visit);
