/** The search for a scale and a minimum (`make_qkx2_quants`, `make_qkx3_quants`), each operation in ggml's order. */
import { nearestWithin } from "./float.ts";

const { fround, abs } = Math;

/** What `makeQkxQuants` tries: `steps` + 1 scales (top + first + i * step) / (max - min), judged by |d| or d^2. */
export interface AffineSearch {
  readonly n: number;
  readonly top: number;
  readonly first: number;
  readonly step: number;
  readonly steps: number;
  readonly absolute: boolean;
}

const trial = new Uint8Array(32);
const totals = new Float32Array(3);

/** Weighted error of codes under x = scale * l + min. */
function affineError(
  absolute: boolean,
  n: number,
  x: Float32Array,
  from: number,
  weights: Float32Array,
  codes: Uint8Array,
  at: number,
  scale: number,
  min: number,
): number {
  let error = 0;
  for (let i = 0; i < n; i++) {
    const difference = fround(fround(fround(scale * codes[at + i]!) + min) - x[from + i]!);
    const cost = absolute ? abs(difference) : fround(difference * difference);
    error = fround(error + fround(weights[i]! * cost));
  }
  return error;
}

function affineCodes(
  n: number,
  top: number,
  x: Float32Array,
  from: number,
  iscale: number,
  min: number,
  codes: Uint8Array,
  at: number,
): void {
  for (let i = 0; i < n; i++) codes[at + i] = nearestWithin(fround(iscale * fround(x[from + i]! - min)), 0, top);
}

/** Sums of w l, w l l and w l x of the trial codes. */
function sumTrial(n: number, x: Float32Array, from: number, weights: Float32Array): void {
  let sumL = 0;
  let sumL2 = 0;
  let sumXl = 0;
  for (let i = 0; i < n; i++) {
    const l = trial[i]!;
    const wl = fround(weights[i]! * l);
    sumL = fround(sumL + wl);
    sumL2 = fround(sumL2 + fround(wl * l));
    sumXl = fround(sumXl + fround(wl * x[from + i]!));
  }
  totals[0] = sumL;
  totals[1] = sumL2;
  totals[2] = sumXl;
}

/**
 * `make_qkx2_quants` and `make_qkx3_quants`: scale, codes and `mins[minAt]` of x = scale * l - min, min not below zero;
 * every tried scale is refined by least squares.
 */
export function makeQkxQuants(
  search: AffineSearch,
  x: Float32Array,
  from: number,
  weights: Float32Array,
  codes: Uint8Array,
  at: number,
  mins: Float32Array,
  minAt: number,
): number {
  const { n, top, first, step, steps, absolute } = search;
  let min = x[from]!;
  let max = min;
  let sumW = weights[0]!;
  let sumX = fround(sumW * min);
  for (let i = 1; i < n; i++) {
    const value = x[from + i]!;
    if (value < min) min = value;
    if (value > max) max = value;
    sumW = fround(sumW + weights[i]!);
    sumX = fround(sumX + fround(weights[i]! * value));
  }
  if (min > 0) min = 0;
  if (max === min) {
    codes.fill(0, at, at + n);
    mins[minAt] = -min;
    return 0;
  }
  const whole = fround(top / fround(max - min));
  let scale = fround(1 / whole);
  affineCodes(n, top, x, from, whole, min, codes, at);
  let best = affineError(absolute, n, x, from, weights, codes, at, scale, min);
  for (let i = 0; i <= steps; i++) {
    const iscale = fround(fround(fround(first + fround(step * i)) + top) / fround(max - min));
    affineCodes(n, top, x, from, iscale, min, trial, 0);
    sumTrial(n, x, from, weights);
    const sumL = totals[0]!;
    const sumL2 = totals[1]!;
    const sumXl = totals[2]!;
    const determinant = fround(fround(sumW * sumL2) - fround(sumL * sumL));
    if (!(determinant > 0)) continue;
    let thisScale = fround(fround(fround(sumW * sumXl) - fround(sumX * sumL)) / determinant);
    let thisMin = fround(fround(fround(sumL2 * sumX) - fround(sumL * sumXl)) / determinant);
    if (thisMin > 0) {
      thisMin = 0;
      thisScale = fround(sumXl / sumL2);
    }
    const error = affineError(absolute, n, x, from, weights, trial, 0, thisScale, thisMin);
    if (!(error < best)) continue;
    for (let k = 0; k < n; k++) codes[at + k] = trial[k]!;
    best = error;
    scale = thisScale;
    min = thisMin;
  }
  mins[minAt] = -min;
  return scale;
}
