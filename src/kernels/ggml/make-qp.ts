/** The search for a scale of values that are not negative (`make_qp_quants`), each operation in ggml's order. */
import { nearestInt } from "./float.ts";
import { GROUP_MAX_EPS, isBetter, sums, TENTH } from "./make-qx.ts";

const { fround } = Math;

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
