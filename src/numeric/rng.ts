/** A seeded generator with the same numbers on every machine: xoshiro128** (Blackman and Vigna 2018), seeded by splitmix32. */

export interface Rng {
  /** 32 random bits as an unsigned integer. */
  bits(): number;
  /** Uniform in [0, 1), a multiple of 2^-32. */
  uniform(): number;
  /** Standard normal; the sum form keeps out of `Math.log` and `Math.cos`, whose last bits differ between engines. */
  normal(): number;
  /** Uniform integer in [low, high]. */
  integer(low: number, high: number): number;
  /** A shuffled copy (Fisher and Yates). */
  shuffle<T>(items: readonly T[]): T[];
}

function seeder(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return z ^ (z >>> 15);
  };
}

const rotate = (x: number, by: number): number => (x << by) | (x >>> (32 - by));

function generator(seed: number): () => number {
  const next = seeder(seed);
  let [a, b, c, d] = [next(), next(), next(), next()];
  return () => {
    const result = Math.imul(rotate(Math.imul(b, 5), 7), 9);
    const t = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= t;
    d = rotate(d, 11);
    return result >>> 0;
  };
}

/** Sum of twelve uniforms minus six (Irwin-Hall): unit variance, exact in doubles, tails end at 6. */
function irwinHall(uniform: () => number): number {
  let sum = -6;
  for (let i = 0; i < 12; i++) sum += uniform();
  return sum;
}

function shuffled<T>(items: readonly T[], integer: Rng["integer"]): T[] {
  const out = [...items];
  for (let i = out.length - 1; i > 0; i--) {
    const j = integer(0, i);
    [out[i], out[j]] = [out[j]!, out[i]!];
  }
  return out;
}

/** Generator for a 32-bit seed; the same seed gives the same sequence everywhere. */
export function rng(seed: number): Rng {
  const bits = generator(seed);
  const uniform = (): number => bits() / 2 ** 32;
  const integer = (low: number, high: number): number => low + Math.floor(uniform() * (high - low + 1));
  return { bits, uniform, integer, normal: () => irwinHall(uniform), shuffle: (items) => shuffled(items, integer) };
}
