/**
 * The searches for scales that ggml's formats share (the `make_*_quants` functions of ggml-quants.c), each operation in
 * float32 and in ggml's order: the last bit of a sum decides between candidates.
 */
import { nearestWithin } from "./float.ts";

const { fround, abs } = Math;

/** Groups whose largest magnitude is below count as zero (`GROUP_MAX_EPS`). */
export const GROUP_MAX_EPS = fround(1e-15);
/** The step between tried scales. */
export const TENTH = fround(0.1);

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

/** Sums of w x l and w l l of the codes at hand. */
export const sums = new Float32Array(2);

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
export const isBetter = (sumlx: number, suml2: number): boolean =>
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
