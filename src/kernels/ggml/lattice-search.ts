/** The search of the IQ2 and IQ3 types: scale, signs and grid points of one sub-block. */
import { nearestWithin, sumOfSquares, weigh } from "./float.ts";
import { SUPER } from "./format.ts";
import type { GridName } from "./grids.ts";
import { bestNeighbour, copyLevels, type Lattice, latticeOf, pointCode } from "./lattice.ts";
import { makeQpQuants } from "./make-qp.ts";
import { GROUP_MAX_EPS } from "./make-qx.ts";

const { fround } = Math;

/** What the types differ in. A level l stands for 2 l + 1 here; the highest level is `top` - 1. */
export interface LatticeSearch {
  readonly grid: GridName;
  readonly sub: 16 | 32;
  readonly top: 3 | 8;
  /** Seven signs are stored, the eighth makes their number even; else all eight are. */
  readonly evenSigns: boolean;
  /** Sub-blocks whose largest magnitude is below count as zero. */
  readonly epsilon: number;
  /** sigma2 from the sum of the squares of the super-block. */
  readonly sigma2: number;
  /** Scales tried: (2 top - 1 + i step) / max, i from -steps to steps. */
  readonly steps: number;
  readonly step: number;
  /** Which groups get new codes for the scale that was found. */
  readonly refine: "all" | "off grid" | "all if any is off grid";
  /** Whether the maximum is that of a search of its own (`make_qp_quants`). */
  readonly searchesMaximum: boolean;
  /** Whether without importance a share of sigma2 is added to the square. */
  readonly raisesSquares: boolean;
}

/** What the search says of a super-block; zero for sub-blocks of zeros. */
export interface Found {
  /** Grid index of every group. */
  readonly indices: Uint16Array;
  /** Sign bits of every eight values, the first lowest. */
  readonly signs: Uint8Array;
  readonly scales: Float32Array;
  /** 1 for sub-blocks that counted as zero and were not searched. */
  readonly skipped: Uint8Array;
}

/** Room for it, zeros. */
export const roomForFound = (): Found => ({
  indices: new Uint16Array(SUPER / 4),
  signs: new Uint8Array(SUPER / 8),
  scales: new Float32Array(SUPER / 16),
  skipped: new Uint8Array(SUPER / 16),
});

const found = roomForFound();

const magnitudes = new Float32Array(32);
const weights = new Float32Array(32);
const roots = new Float32Array(32);
const levels = new Uint8Array(32);
const trial = new Uint8Array(32);
const onGrid = new Uint8Array(8);
const trialOnGrid = new Uint8Array(8);

/** 2 l + 1 for every level. */
const ODD = { 3: Float32Array.of(1, 3, 5), 8: Float32Array.of(1, 3, 5, 7, 9, 11, 13, 15) };

/** Set where squares overflow float32, so that no grid point is nearest: ggml stops the process there. */
let hasNoCode = false;

/** Magnitudes and sign bits. An odd number of signs is made even by the sign that costs least, whose magnitude turns negative. */
function splitSigns(x: Float32Array, from: number, at: number, even: boolean): number {
  let signs = 0;
  let flips = 0;
  for (let i = 0; i < 8; i++) {
    const value = x[from + at + i]!;
    if (value >= 0) magnitudes[at + i] = value;
    else {
      magnitudes[at + i] = -value;
      flips++;
      signs |= 1 << i;
    }
  }
  if (!even) return signs;
  if (flips % 2 === 1) signs ^= 1 << flipCheapest(x, from, at);
  return signs & 127;
}

function flipCheapest(x: Float32Array, from: number, at: number): number {
  let cheapest = 0;
  let least = 0;
  for (let i = 0; i < 8; i++) {
    const value = x[from + at + i]!;
    const cost = fround(fround(weights[at + i]! * value) * value);
    if (i > 0 && !(cost < least)) continue;
    least = cost;
    cheapest = i;
  }
  magnitudes[at + cheapest] = -magnitudes[at + cheapest]!;
  return cheapest;
}

/** Rounds one group at a scale; off the grid it gets the best neighbour. Answers whether it was on the grid. */
function roundGroup(lattice: Lattice, top: 3 | 8, id: number, scale: number, at: number, out: Uint8Array): boolean {
  const { coordinates } = lattice;
  for (let i = at; i < at + coordinates; i++)
    out[i] = nearestWithin(fround(0.5 * fround(fround(id * magnitudes[i]!) - 1)), 0, top - 1);
  const code = pointCode(lattice, out, at);
  if (lattice.indexOf[code]! >= 0) return true;
  const index = bestNeighbour(lattice, code, ODD[top], magnitudes, at, roots, at, scale);
  if (index < 0) hasNoCode = true;
  else copyLevels(lattice, index, out, at);
  return false;
}

let sumqx = 0;
let sumq2 = 0;

/** Sums of w x q and w q q, q = 2 l + 1. */
function sumLevels(of: Uint8Array, n: number): void {
  let qx = 0;
  let q2 = 0;
  for (let i = 0; i < n; i++) {
    const w = weights[i]!;
    const q = 2 * of[i]! + 1;
    qx = fround(qx + fround(fround(w * magnitudes[i]!) * q));
    q2 = fround(q2 + fround(fround(w * q) * q));
  }
  sumqx = qx;
  sumq2 = q2;
}

/** Tries all scales; the best one's levels are in `levels`. Answers the scale of least error. */
function tryScales(search: LatticeSearch, lattice: Lattice, max: number, start: number): number {
  const { sub, top, steps, step } = search;
  const { coordinates } = lattice;
  let scale = start;
  let best = 0;
  for (let i = -steps; i <= steps; i++) {
    const id = fround(fround(2 * top - 1 + fround(i * step)) / max);
    const tried = fround(1 / id);
    for (let at = 0, k = 0; at < sub; at += coordinates, k++)
      trialOnGrid[k] = roundGroup(lattice, top, id, tried, at, trial) ? 1 : 0;
    sumLevels(trial, sub);
    if (!(sumq2 > 0 && fround(sumqx * sumqx) > fround(best * sumq2))) continue;
    scale = fround(sumqx / sumq2);
    best = fround(scale * sumqx);
    levels.set(trial);
    onGrid.set(trialOnGrid);
  }
  return scale;
}

/** Codes again for the scale that was found, then the scale again for the codes. */
function refineLevels(search: LatticeSearch, lattice: Lattice, scale: number): number {
  const { sub, top, refine } = search;
  const { coordinates } = lattice;
  const id = fround(1 / scale);
  for (let at = 0, k = 0; at < sub; at += coordinates, k++)
    if (refine !== "off grid" || onGrid[k] === 0) roundGroup(lattice, top, id, scale, at, levels);
  sumLevels(levels, sub);
  return sumq2 > 0 ? fround(sumqx / sumq2) : scale;
}

function needsRefinement({ refine, sub }: LatticeSearch, { coordinates }: Lattice): boolean {
  if (refine === "all") return true;
  for (let k = 0; k < sub / coordinates; k++) if (onGrid[k] === 0) return true;
  return false;
}

const asBits = new Uint8Array(32);

/** The maximum that scales are tried for, and the scale to begin with: both 0 where nothing is to be searched. */
function beginning({ sub, top, epsilon, searchesMaximum }: LatticeSearch): readonly [number, number] {
  let max = magnitudes[0]!;
  for (let i = 1; i < sub; i++) if (!(max > magnitudes[i]!)) max = magnitudes[i]!;
  if (max < epsilon || max === 0) return NOTHING;
  if (!searchesMaximum) return [max, fround(max / (2 * top - 1))];
  const scale = makeQpQuants(sub, top + 1, magnitudes, asBits, weights);
  levels.set(asBits);
  const effective = fround(scale * top);
  return effective <= 0 ? NOTHING : [effective, scale];
}

const NOTHING: readonly [number, number] = [0, 0];

/** Scale of the sub-block, its grid indices and signs in `found`. */
function searchSub(search: LatticeSearch, lattice: Lattice, x: Float32Array, from: number, sub: number): number {
  const start = from + sub * search.sub;
  for (let i = 0; i < search.sub; i++) roots[i] = Math.sqrt(weights[i]!);
  const signsAt = (sub * search.sub) / 8;
  for (let k = 0; k < search.sub / 8; k++) asBits[k] = splitSigns(x, start, 8 * k, search.evenSigns);
  found.signs.set(asBits.subarray(0, search.sub / 8), signsAt);
  levels.fill(0);
  const [max, first] = beginning(search);
  found.skipped[sub] = max === 0 ? 1 : 0;
  if (max === 0) {
    found.signs.fill(0, signsAt, signsAt + search.sub / 8);
    return 0;
  }
  onGrid.fill(search.refine === "all if any is off grid" ? 0 : 1);
  let scale = tryScales(search, lattice, max, first);
  if (scale > 0 && needsRefinement(search, lattice)) scale = refineLevels(search, lattice, scale);
  if (scale < 0) {
    scale = -scale;
    for (let k = signsAt; k < signsAt + search.sub / 8; k++)
      found.signs[k] = ~found.signs[k]! & (search.evenSigns ? 127 : 255);
  }
  const { coordinates } = lattice;
  for (let at = 0; at < search.sub; at += coordinates) {
    const index = lattice.indexOf[pointCode(lattice, levels, at)] ?? -1;
    if (index < 0) hasNoCode = true;
    found.indices[(sub * search.sub + at) / coordinates] = index;
  }
  if (!(scale >= 0)) hasNoCode = true;
  return scale;
}

function searchSuper(
  search: LatticeSearch,
  x: Float32Array,
  from: number,
  importance: Float32Array | undefined,
  weightsFrom: number,
): number {
  const lattice = latticeOf(search.grid);
  const sigma2 = fround(fround(search.sigma2 * sumOfSquares(x, from, SUPER)) / SUPER);
  found.indices.fill(0);
  hasNoCode = false;
  let most = 0;
  for (let sub = 0; sub < SUPER / search.sub; sub++) {
    const at = sub * search.sub;
    weigh(x, from + at, search.sub, importance, weightsFrom + at, sigma2, weights);
    if (importance === undefined && search.raisesSquares)
      for (let i = 0; i < search.sub; i++) weights[i] = fround(0.25 * sigma2) + weights[i]!;
    const scale = searchSub(search, lattice, x, from, sub);
    found.scales[sub] = scale;
    if (!(most > scale)) most = scale;
  }
  return hasNoCode ? Number.NaN : most;
}

/** The search of one type in any implementation. */
export interface SuperSearch {
  /** What the last super-block gave; the same arrays for all. */
  readonly found: Found;
  /** Searches a super-block; answers its largest scale, NaN if it has no code. */
  run(x: Float32Array, from: number, importance: Float32Array | undefined, weightsFrom: number): number;
}

/** Makes the search of a type. */
export type SearchFor = (search: LatticeSearch) => SuperSearch;

/** The search in TypeScript. */
export const searchFor: SearchFor = (search) => ({
  found,
  run: (x, from, importance, weightsFrom) => searchSuper(search, x, from, importance, weightsFrom),
});

/** Four-bit codes of the scales, l standing for d (2 l + 1) with d the largest scale / 31. */
export function scaleCode(id: number, scale: number, top: number): number {
  return nearestWithin(fround(0.5 * fround(fround(id * scale) - 1)), 0, top);
}

/** Epsilons of `ggml-quants.c`. */
export const EPSILON = { iq2: GROUP_MAX_EPS, iq2_s: fround(1e-8), iq3_xxs: fround(1e-8) } as const;
