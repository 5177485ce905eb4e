/**
 * The searches for scales that ggml's formats share (the `make_*_quants` functions of ggml-quants.c), each operation in
 * float32 and in ggml's order: the last bit of a sum decides between candidates.
 */
import { nearestInt, nearestWithin } from "./float.ts";

const { fround, abs } = Math;

/** Groups whose largest magnitude is below count as zero (`GROUP_MAX_EPS`). */
export const GROUP_MAX_EPS = fround(1e-15);
const TENTH = fround(0.1);

/** The value of largest magnitude, the first of equals. */
export function peakOf(x: Float32Array, from: number, n: number): number {
  let peak = 0;
  let most = 0;
  for (let i = from; i < from + n; i++) {
    const magnitude = abs(x[i]!);
    if (magnitude > most) {
      most = magnitude;
      peak = x[i]!;
    }
  }
  return peak;
}

const sums = new Float32Array(2);

/** Sums of w x l and w l l for codes l = round(x * iscale), held in [-top, top - 1]. */
function sumSigned(x: Float32Array, from: number, n: number, top: number, iscale: number, weights: Float32Array): void {
  let sumlx = 0;
  let suml2 = 0;
  for (let i = 0; i < n; i++) {
    const value = x[from + i]!;
    const l = nearestWithin(fround(iscale * value), -top, top - 1);
    const w = weights[i]!;
    sumlx = fround(sumlx + fround(fround(w * value) * l));
    suml2 = fround(suml2 + fround(fround(w * l) * l));
  }
  sums[0] = sumlx;
  sums[1] = suml2;
}

/** Codes of [-top, top - 1], stored with `top` added. */
function signedCodes(
  x: Float32Array,
  from: number,
  n: number,
  top: number,
  iscale: number,
  codes: Uint8Array,
  at: number,
): void {
  for (let i = 0; i < n; i++) codes[at + i] = top + nearestWithin(fround(iscale * x[from + i]!), -top, top - 1);
}

/** `make_qx_quants`: scale and codes (`top` added) of x = scale * l, the least weighted error of 19 tried scales. */
export function makeQxQuants(
  n: number,
  top: number,
  x: Float32Array,
  from: number,
  weights: Float32Array,
  codes: Uint8Array,
  at: number,
): number {
  const peak = peakOf(x, from, n);
  if (abs(peak) < GROUP_MAX_EPS) {
    codes.fill(0, at, at + n);
    return 0;
  }
  let chosen = fround(-top / peak);
  sumSigned(x, from, n, top, chosen, weights);
  let scale = sums[1] !== 0 ? fround(sums[0]! / sums[1]!) : 0;
  let best = fround(scale * sums[0]!);
  for (let step = -9; step <= 9; step++) {
    if (step === 0) continue;
    const iscale = fround(-fround(top + fround(TENTH * step)) / peak);
    sumSigned(x, from, n, top, iscale, weights);
    const sumlx = sums[0]!;
    const suml2 = sums[1]!;
    if (suml2 > 0 && fround(sumlx * sumlx) > fround(best * suml2)) {
      chosen = iscale;
      scale = fround(sumlx / suml2);
      best = fround(scale * sumlx);
    }
  }
  signedCodes(x, from, n, top, chosen, codes, at);
  return scale;
}

const signed = new Int8Array(16);

/** One round over all codes, each moved where that lessens the error; `sums` follows. False when none moved. */
function improveSigned(x: Float32Array, from: number, n: number, top: number): boolean {
  let changed = false;
  for (let i = 0; i < n; i++) {
    const value = x[from + i]!;
    const w = fround(value * value);
    const wx = fround(w * value);
    const old = signed[i]!;
    let sumlx = fround(sums[0]! - fround(wx * old));
    if (!(sumlx > 0)) continue;
    let suml2 = fround(sums[1]! - fround(fround(w * old) * old));
    const l = nearestWithin(fround(fround(value * suml2) / sumlx), -top, top - 1);
    if (l === old) continue;
    sumlx = fround(sumlx + fround(wx * l));
    suml2 = fround(suml2 + fround(fround(w * l) * l));
    if (!(suml2 > 0 && isBetter(sumlx, suml2))) continue;
    signed[i] = l;
    sums[0] = sumlx;
    sums[1] = suml2;
    changed = true;
  }
  return changed;
}

/** Whether the error of new sums is below that of `sums`: (sum w x l)^2 / (sum w l l) grows. */
const isBetter = (sumlx: number, suml2: number): boolean =>
  fround(fround(sumlx * sumlx) * sums[1]!) > fround(fround(sums[0]! * sums[0]!) * suml2);

/** `make_q3_quants`: scale and codes (`top` added) of up to 16 values, codes improved one by one in at most five rounds. */
export function makeQ3Quants(
  n: number,
  top: number,
  x: Float32Array,
  from: number,
  weights: Float32Array,
  codes: Uint8Array,
  at: number,
): number {
  const peak = peakOf(x, from, n);
  if (abs(peak) < GROUP_MAX_EPS) {
    codes.fill(0, at, at + n);
    return 0;
  }
  const iscale = fround(-top / peak);
  for (let i = 0; i < n; i++) signed[i] = nearestWithin(fround(iscale * x[from + i]!), -top, top - 1);
  sumSigned(x, from, n, top, iscale, weights);
  for (let round = 0; round < 5 && improveSigned(x, from, n, top); round++);
  for (let i = 0; i < n; i++) codes[at + i] = signed[i]! + top;
  return sums[1]! > 0 ? fround(sums[0]! / sums[1]!) : 0;
}

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

/** Weighted error under the scale 1 / iscale, codes not above `top`; `wrapped` are the codes cut to `uint8_t`. */
function positiveError(
  n: number,
  top: number,
  x: Float32Array,
  weights: Float32Array,
  iscale: number,
  wrapped: boolean,
): number {
  const scale = fround(1 / iscale);
  let error = 0;
  for (let i = 0; i < n; i++) {
    const nearest = nearestInt(fround(iscale * x[i]!));
    const l = wrapped ? nearest & 255 : Math.min(nearest, top);
    const difference = fround(x[i]! - fround(scale * l));
    error = fround(error + fround(fround(weights[i]! * difference) * difference));
  }
  return error;
}

/** One round over all codes, each moved where that lessens the error; `sums` follows. False when none moved. */
function improvePositive(n: number, top: number, x: Float32Array, codes: Uint8Array, weights: Float32Array): boolean {
  let changed = false;
  for (let i = 0; i < n; i++) {
    const w = weights[i]!;
    const wx = fround(w * x[i]!);
    const old = codes[i]!;
    let sumlx = fround(sums[0]! - fround(wx * old));
    let suml2 = fround(sums[1]! - fround(fround(w * old) * old));
    if (!(sumlx > 0 && suml2 > 0)) continue;
    const nearest = nearestInt(fround(fround(x[i]! * suml2) / sumlx));
    const l = Math.min(nearest, top);
    if (l === old) continue;
    sumlx = fround(sumlx + fround(wx * l));
    suml2 = fround(suml2 + fround(fround(w * l) * l));
    if (!isBetter(sumlx, suml2)) continue;
    codes[i] = l;
    sums[0] = sumlx;
    sums[1] = suml2;
    changed = true;
  }
  return changed;
}

/** Codes of [0, top] and `sums` of w x l and w l l. */
function sumPositive(
  n: number,
  top: number,
  x: Float32Array,
  codes: Uint8Array,
  weights: Float32Array,
  iscale: number,
): void {
  let sumlx = 0;
  let suml2 = 0;
  for (let i = 0; i < n; i++) {
    const nearest = nearestInt(fround(iscale * x[i]!));
    const l = Math.min(nearest, top);
    const w = weights[i]!;
    codes[i] = l;
    sumlx = fround(sumlx + fround(fround(w * x[i]!) * l));
    suml2 = fround(suml2 + fround(fround(w * l) * l));
  }
  sums[0] = sumlx;
  sums[1] = suml2;
}

/** `make_qp_quants`: scale and codes of [0, top] for values that are not below zero. */
export function makeQpQuants(
  n: number,
  top: number,
  x: Float32Array,
  codes: Uint8Array,
  weights: Float32Array,
): number {
  let max = 0;
  for (let i = 0; i < n; i++) if (!(max > x[i]!)) max = x[i]!;
  if (max < GROUP_MAX_EPS) {
    codes.fill(0, 0, n);
    return 0;
  }
  let chosen = fround(top / max);
  let best = positiveError(n, top, x, weights, chosen, true);
  for (let step = -4; step <= 4; step++) {
    if (step === 0) continue;
    const iscale = fround(fround(fround(TENTH * step) + top) / max);
    const error = positiveError(n, top, x, weights, iscale, false);
    if (!(error < best)) continue;
    best = error;
    chosen = iscale;
  }
  sumPositive(n, top, x, codes, weights, chosen);
  for (let round = 0; round < 5 && improvePositive(n, top, x, codes, weights); round++);
  return sums[1]! > 0 ? fround(sums[0]! / sums[1]!) : 0;
}
