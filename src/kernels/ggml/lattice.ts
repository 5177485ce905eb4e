/** Codebooks ready for use: levels of every grid point, the grid point of every lattice point, and neighbours made when first asked for. */
import { base64Bytes } from "../../numeric/base64.ts";
import { FLT_MAX } from "./float.ts";
import { GRIDS, type GridName, type PackedGrid } from "./grids.ts";

const { fround } = Math;

/** A point's code has its levels side by side, `bits` each, the first coordinate lowest. */
export interface Lattice {
  readonly coordinates: number;
  readonly bits: number;
  /** Level of each coordinate of each grid point. */
  readonly levels: Uint8Array;
  /** Grid index of a point's code, -1 where it is not in the grid. */
  readonly indexOf: Int16Array;
  /** Codes of the points that are not in the grid, ascending. */
  readonly offGrid: readonly number[];
  /** Grid points near a point that is not in the grid: those of the nearest shells, nearest first, then by index. */
  neighbours(code: number): Uint16Array;
}

/** Codes of all points, ascending, with `bits` for a coordinate. */
function pointCodes(coordinates: number, levels: number, bits: number): number[] {
  let codes = [0];
  for (let i = 0; i < coordinates; i++) {
    const before = codes;
    codes = [];
    for (let level = 0; level < levels; level++) for (const code of before) codes.push(code | (level << (bits * i)));
  }
  return codes;
}

function levelsOf(codes: readonly number[], coordinates: number, bits: number): Uint8Array {
  const levels = new Uint8Array(codes.length * coordinates);
  for (let i = 0; i < levels.length; i++)
    levels[i] = (codes[Math.floor(i / coordinates)]! >> (bits * (i % coordinates))) & ((1 << bits) - 1);
  return levels;
}

/** Squared distances between all halves of codes, those of one half side by side. */
function halfDistances(half: number, bits: number): Uint8Array {
  const size = 1 << (half * bits);
  const mask = (1 << bits) - 1;
  const out = new Uint8Array(size * size);
  for (let i = 0; i < out.length; i++)
    for (let shift = 0; shift < half * bits; shift += bits)
      out[i]! += (((i >> shift) & mask) - ((i >> (shift + half * bits)) & mask)) ** 2;
  return out;
}

/** Turns how often each distance occurs into where the first of it goes, for the `shells` smallest; answers how many those are and the largest of them. */
function placeShells(counts: Uint32Array, shells: number): { count: number; limit: number } {
  let count = 0;
  for (let distance = 0, left = shells; distance < counts.length; distance++) {
    const here = counts[distance]!;
    counts[distance] = count;
    count += here;
    if (here > 0 && --left === 0) return { count, limit: distance };
  }
  return { count, limit: counts.length };
}

/** Finds for a code the points of the `shells` smallest distances, shell by shell, each in ascending order. */
function finder(codes: readonly number[], bits: number, half: number, shells: number): (code: number) => Uint16Array {
  const width = bits * half;
  const size = 1 << width;
  const apart = halfDistances(half, bits);
  const lower = Uint8Array.from(codes, (code) => code & (size - 1));
  const upper = Uint8Array.from(codes, (code) => code >> width);
  const far = new Uint8Array(codes.length);
  const counts = new Uint32Array(256);
  return (code) => {
    const [low, high] = [(code & (size - 1)) << width, (code >> width) << width];
    counts.fill(0);
    for (let k = 0; k < far.length; k++) {
      const distance = apart[low + lower[k]!]! + apart[high + upper[k]!]!;
      far[k] = distance;
      counts[distance]!++;
    }
    const { count, limit } = placeShells(counts, shells);
    const found = new Uint16Array(count);
    for (let k = 0; k < far.length; k++) if (far[k]! <= limit) found[counts[far[k]!]!++] = k;
    return found;
  };
}

function makeLattice(grid: PackedGrid): Lattice {
  const { coordinates, levels } = grid;
  const bits = levels === 3 ? 2 : 3;
  const set = base64Bytes(grid.bits);
  const points = pointCodes(coordinates, levels, bits);
  const isInGrid = (_: number, point: number): boolean => ((set[point >> 3]! >> (point & 7)) & 1) === 1;
  const codes = points.filter(isInGrid);
  const indexOf = new Int16Array(1 << (bits * coordinates)).fill(-1);
  for (let k = 0; k < codes.length; k++) indexOf[codes[k]!] = k;
  const known: (Uint16Array | undefined)[] = new Array(indexOf.length);
  const find = finder(codes, bits, coordinates / 2, grid.shells);
  return {
    coordinates,
    bits,
    levels: levelsOf(codes, coordinates, bits),
    indexOf,
    offGrid: points.filter((code) => indexOf[code]! < 0),
    neighbours: (code) => (known[code] ??= find(code)),
  };
}

const lattices = new Map<GridName, Lattice>();

/** The codebook of that name, made once. */
export function latticeOf(name: GridName): Lattice {
  const known = lattices.get(name);
  if (known) return known;
  const made = makeLattice(GRIDS[name]);
  lattices.set(name, made);
  return made;
}

/** Code of the point whose levels start at `at`. */
export function pointCode({ coordinates, bits }: Lattice, levels: Uint8Array, at: number): number {
  let code = 0;
  for (let i = 0; i < coordinates; i++) code |= levels[at + i]! << (bits * i);
  return code;
}

/** Copies the levels of a grid point. */
export function copyLevels({ coordinates, levels }: Lattice, index: number, out: Uint8Array, at: number): void {
  for (let i = 0; i < coordinates; i++) out[at + i] = levels[index * coordinates + i]!;
}

const costs = new Float32Array(64);

/** Weighted squared error of every coordinate at every level; `values` are what the levels stand for at scale 1. */
function fillCosts(
  { coordinates, bits }: Lattice,
  values: Float32Array,
  x: Float32Array,
  from: number,
  weights: Float32Array,
  weightsFrom: number,
  scale: number,
): void {
  for (let level = 0; level < values.length; level++) {
    const value = fround(scale * values[level]!);
    for (let i = 0; i < coordinates; i++) {
      const difference = fround(value - x[from + i]!);
      costs[(i << bits) | level] = fround(weights[weightsFrom + i]! * difference) * difference;
    }
  }
}

/** The neighbour of least weighted error, the first of equals; -1 where no error is finite. */
export function bestNeighbour(
  lattice: Lattice,
  code: number,
  values: Float32Array,
  x: Float32Array,
  from: number,
  weights: Float32Array,
  weightsFrom: number,
  scale: number,
): number {
  const { coordinates, bits, levels } = lattice;
  const neighbours = lattice.neighbours(code);
  fillCosts(lattice, values, x, from, weights, weightsFrom, scale);
  let least = FLT_MAX;
  let best = -1;
  for (let k = 0; k < neighbours.length; k++) {
    const index = neighbours[k]!;
    let error = 0;
    for (let i = 0, at = index * coordinates; i < coordinates; i++, at++)
      error = fround(error + costs[(i << bits) | levels[at]!]!);
    if (error < least) {
      least = error;
      best = index;
    }
  }
  return best;
}
