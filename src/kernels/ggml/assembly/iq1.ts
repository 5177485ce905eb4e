/** The exhaustive search of iq1_s and iq1_m for the best split of sorted values, four splits at a time. AssemblyScript. */

/** Sums of w q x, then of w q q, of four splits under up to four shifts. */
const QX: usize = 5120;
const Q2: usize = QX + 64;
/** First and second border of the best split, its scale. */
export const RESULT: usize = Q2 + 64;

let bestScore: f32 = 0;
let bestShift: i32 = -1;

function offer(first: i32, second: i32, shift: i32, qx: f32, q2: f32): void {
  if (!(q2 > 0 && qx * qx > bestScore * q2)) return;
  const scale = qx / q2;
  store<i32>(RESULT, first);
  store<i32>(RESULT, second, 4);
  store<f32>(RESULT, scale, 8);
  bestShift = shift;
  bestScore = scale * qx;
}

/** Keeps the sums of four splits; true if one may be better. What does not pass now will not pass a higher score. */
function keep(shift: i32, qx: v128, q2: v128): bool {
  v128.store(QX + (shift << 4), qx);
  v128.store(Q2 + (shift << 4), q2);
  const grows = f32x4.gt(f32x4.mul(qx, qx), f32x4.mul(f32x4.splat(bestScore), q2));
  return v128.any_true(v128.and(f32x4.gt(q2, f32x4.splat(0)), grows));
}

/** Offers the kept sums in the order of the splits. */
function offerKept(first: i32, second: i32, shifts: i32): void {
  for (let lane = 0; lane < 4; lane++)
    for (let shift = 0; shift < shifts; shift++) {
      const at = (shift << 4) + (lane << 2);
      offer(first, second + lane, shift, load<f32>(QX + at), load<f32>(Q2 + at));
    }
}

function squared(sum: v128, value: f32): v128 {
  return f32x4.mul(f32x4.mul(sum, f32x4.splat(value)), f32x4.splat(value));
}

/** Sum over three parts, each times its value. */
function parts(low: v128, middle: v128, high: v128, a: f32, b: f32, c: f32): v128 {
  const two = f32x4.add(f32x4.mul(low, f32x4.splat(a)), f32x4.mul(middle, f32x4.splat(b)));
  return f32x4.add(two, f32x4.mul(high, f32x4.splat(c)));
}

function partsSquared(low: v128, middle: v128, high: v128, a: f32, b: f32, c: f32): v128 {
  return f32x4.add(f32x4.add(squared(low, a), squared(middle, b)), squared(high, c));
}

function begin(): void {
  bestScore = -f32.MAX_VALUE;
  bestShift = -1;
}

/** iq1_s: 33 sums of w x, and 40 floats on of w, NaN behind them. Answers the shift, -1 if there is no split. */
export function trySplitsS(sums: usize): i32 {
  begin();
  const w = sums + 160;
  const allX = v128.load32_splat(sums, 128);
  const allW = v128.load32_splat(w, 128);
  for (let i = 0; i <= 32; i++) {
    const lowX = v128.load32_splat(sums + (i << 2));
    const lowW = v128.load32_splat(w + (i << 2));
    for (let k = i; k <= 32; k += 4) {
      const x = v128.load(sums + (k << 2));
      const y = v128.load(w + (k << 2));
      const middleX = f32x4.sub(x, lowX);
      const middleW = f32x4.sub(y, lowW);
      const highX = f32x4.sub(allX, x);
      const highW = f32x4.sub(allW, y);
      const up = keep(
        0,
        parts(lowX, middleX, highX, -0.875, 0.125, 1.125),
        partsSquared(lowW, middleW, highW, -0.875, 0.125, 1.125),
      );
      const down = keep(
        1,
        parts(lowX, middleX, highX, -1.125, -0.125, 0.875),
        partsSquared(lowW, middleW, highW, -1.125, -0.125, 0.875),
      );
      if (up || down) offerKept(i, k, 2);
    }
  }
  return bestShift;
}

/** Sums of w q q of one half for four splits. */
function halfSquares(all: v128, low: v128, high: v128, value: f32, a: f32, b: f32): v128 {
  const two = f32x4.add(squared(all, value), f32x4.mul(low, f32x4.splat(a)));
  return f32x4.add(two, f32x4.mul(high, f32x4.splat(b)));
}

/** iq1_m: 17 sums each of w x and w of both halves, 24 floats apart, NaN behind them. Answers the shifts of the halves. */
export function trySplitsM(sums: usize): i32 {
  begin();
  const all0 = v128.load32_splat(sums, 64);
  const all1 = v128.load32_splat(sums, 160);
  const w0 = v128.load32_splat(sums, 256);
  const w1 = v128.load32_splat(sums, 352);
  const up = f32x4.splat(1.125);
  const down = f32x4.splat(0.875);
  for (let i = 0; i <= 16; i++) {
    const first = sums + (i << 2);
    for (let k = i; k <= 16; k += 4) {
      const second = sums + (k << 2);
      const both0 = f32x4.add(v128.load32_splat(first), v128.load(second));
      const both1 = f32x4.add(v128.load32_splat(first, 96), v128.load(second, 96));
      const up0 = f32x4.sub(f32x4.mul(all0, up), both0);
      const up1 = f32x4.sub(f32x4.mul(all1, up), both1);
      const down0 = f32x4.sub(f32x4.mul(all0, down), both0);
      const down1 = f32x4.sub(f32x4.mul(all1, down), both1);
      const low0 = v128.load32_splat(first, 192);
      const low1 = v128.load32_splat(first, 288);
      const high0 = v128.load(second, 192);
      const high1 = v128.load(second, 288);
      const squaresUp0 = halfSquares(w0, low0, high0, 1.125, 0.75, -1.25);
      const squaresUp1 = halfSquares(w1, low1, high1, 1.125, 0.75, -1.25);
      const squaresDown0 = halfSquares(w0, low0, high0, 0.875, 1.25, -0.75);
      const squaresDown1 = halfSquares(w1, low1, high1, 0.875, 1.25, -0.75);
      const a = keep(0, f32x4.add(up0, up1), f32x4.add(squaresUp0, squaresUp1));
      const b = keep(1, f32x4.add(up0, down1), f32x4.add(squaresUp0, squaresDown1));
      const c = keep(2, f32x4.add(down0, up1), f32x4.add(squaresDown0, squaresUp1));
      const d = keep(3, f32x4.add(down0, down1), f32x4.add(squaresDown0, squaresDown1));
      if (a || b || c || d) offerKept(i, k, 4);
    }
  }
  return bestShift;
}
