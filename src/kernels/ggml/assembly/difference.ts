/** The sums of difference.ts. AssemblyScript. */

// @inline
function wide(at: usize): v128 {
  return f64x2.promote_low_f32x4(v128.load64_zero(at));
}

/** Writes the sums of squares of values, a lane each for even and odd places, and of what `back` differs by; `count` is even. */
export function sumDifferences(values: usize, back: usize, count: i32, dst: usize): void {
  let signal = f64x2.splat(0);
  let noise = f64x2.splat(0);
  for (let i = 0; i < count; i += 2, values += 8, back += 8) {
    const value = wide(values);
    const error = f64x2.sub(wide(back), value);
    signal = f64x2.add(signal, f64x2.mul(value, value));
    noise = f64x2.add(noise, f64x2.mul(error, error));
  }
  v128.store(dst, signal);
  v128.store(dst, noise, 16);
}
