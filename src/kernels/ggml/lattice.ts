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

/** Four bytes of a word. */
const ONES = 0x01010101;
/** Their highest bits. */
const HIGH = ONES << 7;
/** What a longer distance of halves counts: two of them stay below the highest bit. Shells are nearer than one. */
const FAR = 63;

/** Squared distances from every half of a code to the halves of all points, those of four points in a word. */
function halfDistances(points: readonly number[], half: number, bits: number): readonly Int32Array[] {
  const mask = (1 << bits) - 1;
  return Array.from({ length: 1 << (half * bits) }, (_, code) => {
    const distances = Uint8Array.from(points, (point) => {
      let sum = 0;
      for (let shift = 0; shift < half * bits; shift += bits)
        sum += (((code >> shift) & mask) - ((point >> shift) & mask)) ** 2;
      return Math.min(FAR, sum);
    });
    return new Int32Array(distances.buffer);
  });
}

/** Points that may be near, how far they are, and how often each distance occurs. */
interface Candidates {
  readonly points: Uint16Array;
  readonly distances: Uint8Array;
  readonly counts: Uint32Array;
}

/** Collects the points up to `limit` away, in order, of which `a` and `b` hold the distances of both halves; answers how many. */
function collect({ points, distances, counts }: Candidates, a: Int32Array, b: Int32Array, limit: number): number {
  const beyond = (127 - limit) * ONES;
  let count = 0;
  counts.fill(0);
  for (let word = 0; word < a.length; word++) {
    const four = a[word]! + b[word]!;
    if (((four + beyond) & HIGH) === HIGH) continue;
    for (let k = 0; k < 4; k++) {
      const distance = (four >> (8 * k)) & 255;
      if (distance > limit) continue;
      points[count] = 4 * word + k;
      distances[count++] = distance;
      counts[distance]!++;
    }
  }
  return count;
}

/** Turns how often each distance occurs into where the first of it goes, for the `shells` smallest; answers how many those are and the largest of them, undefined where there are fewer. */
function placeShells(counts: Uint32Array, shells: number): { count: number; last: number } | undefined {
  let count = 0;
  for (let distance = 0, left = shells; distance < counts.length; distance++) {
    const here = counts[distance]!;
    counts[distance] = count;
    count += here;
    if (here > 0 && --left === 0) return { count, last: distance };
  }
  return undefined;
}

/** Finds for a code the points of the `shells` smallest distances, shell by shell, each in ascending order. */
function finder(codes: readonly number[], bits: number, half: number, shells: number): (code: number) => Uint16Array {
  const width = bits * half;
  const mask = (1 << width) - 1;
  const lower = halfDistances(codes, half, bits);
  const upper = halfDistances(
    codes.map((code) => code >> width),
    half,
    bits,
  );
  const near: Candidates = {
    points: new Uint16Array(codes.length),
    distances: new Uint8Array(codes.length),
    counts: new Uint32Array(FAR),
  };
  // as far as was enough for the code before
  let limit = 1;
  return (code) => {
    for (; limit < FAR; limit++) {
      const all = collect(near, lower[code & mask]!, upper[code >> width]!, limit);
      const placed = placeShells(near.counts, shells);
      if (placed === undefined) continue;
      const found = new Uint16Array(placed.count);
      for (let i = 0; i < all; i++) {
        const distance = near.distances[i]!;
        if (distance <= placed.last) found[near.counts[distance]!++] = near.points[i]!;
      }
      limit = placed.last;
      return found;
    }
    throw new RangeError(`a codebook has no ${shells} distances below ${FAR} from point ${code}`);
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
