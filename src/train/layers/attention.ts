/** Attention between the positions of a sequence, in plain ops that can be differentiated. */
import type { Build, Layer } from "./building.ts";
import { glorot, type Init, zeros } from "./init.ts";

/** How positions look at each other. */
export interface AttentionOptions {
  readonly heads: number;
  /** Heads of keys and values; each is shared by heads / kvHeads heads of queries (Ainslie et al., arXiv:2305.13245). */
  readonly kvHeads?: number;
  /** Width of a head; the width of the input over `heads` by default. */
  readonly headDim?: number;
  /** A position sees only itself and those before it. */
  readonly causal?: boolean;
  /** Turns queries and keys by their position (Su et al., arXiv:2104.09864); halves of a head are the pairs. */
  readonly rotary?: { readonly base?: number };
  /** False by default. */
  readonly bias?: boolean;
  readonly init?: Init;
  /** Of the last product; `init` unless told. */
  readonly outputInit?: Init;
}

type Sizes = Required<Pick<AttentionOptions, "heads" | "kvHeads" | "headDim">>;

/** Smaller than any score, and no infinity that could meet another. */
const NEVER = -1e9;

function sizesOf(build: Build, x: string, options: AttentionOptions): Sizes {
  const { heads, kvHeads = heads } = options;
  const headDim = options.headDim ?? build.length(x, -1) / heads;
  if (heads % kvHeads !== 0) build.refuse(`${kvHeads} heads of keys do not divide ${heads} heads of queries`);
  if (!Number.isInteger(headDim)) build.refuse(`${heads} heads do not divide a width of ${build.length(x, -1)}`);
  if (options.rotary && headDim % 2 !== 0) build.refuse(`rotary heads must have an even width, not ${headDim}`);
  return { heads, kvHeads, headDim };
}

function project(build: Build, name: string, x: string, units: number, { bias, init = glorot }: AttentionOptions) {
  const fanIn = build.length(x, -1);
  const product = build.emit("MatMul", [
    x,
    build.weight(`${name}.weight`, [fanIn, units], init, { fanIn, fanOut: units }),
  ]);
  return bias ? build.emit("Add", [product, build.weight(`${name}.bias`, [units], zeros)]) : product;
}

/** 0, 1, 2, ... along axis 1 of [B, T, D], as int64 [T]. */
const positionsOf = ({ emit, ints }: Build, x: string): string =>
  emit("Range", [ints(0), emit("Gather", [emit("Shape", [x]), ints(1)]), ints(1)]);

/** Cosine and sine of position times frequency, [T, headDim / 2]; frequencies fall from 1 to 1 / base. */
function angles(build: Build, x: string, headDim: number, base: number): readonly [string, string] {
  const { emit, ints } = build;
  const half = headDim / 2;
  const place = emit("Cast", [emit("Unsqueeze", [positionsOf(build, x), ints([1])])], { to: 1 });
  const index = emit("Cast", [emit("Range", [ints(0), ints(half), ints(1)])], { to: 1 });
  const slower = build.scalar(Math.fround(-Math.log(base) / half), "float32");
  const turn = emit("Mul", [place, emit("Exp", [emit("Mul", [index, slower])])]);
  return [emit("Cos", [turn]), emit("Sin", [turn])];
}

/** (a, b) to (a cos - b sin, b cos + a sin) for the two halves of the last axis. */
function rotated({ emit, emitMany }: Build, x: string, [cos, sin]: readonly [string, string]): string {
  const [a, b] = emitMany("Split", [x], 2, { axis: -1, num_outputs: 2 }) as [string, string];
  const mul = (left: string, right: string) => emit("Mul", [left, right]);
  const turned = [emit("Sub", [mul(a, cos), mul(b, sin)]), emit("Add", [mul(b, cos), mul(a, sin)])];
  return emit("Concat", turned, { axis: -1 });
}

/** [T, T]: 0 where the row's position may see the column's. */
function causalMask(build: Build, x: string): string {
  const { emit, ints, scalar } = build;
  const positions = positionsOf(build, x);
  const [row, column] = [emit("Unsqueeze", [positions, ints([1])]), emit("Unsqueeze", [positions, ints([0])])];
  return emit("Where", [emit("Less", [row, column]), scalar(NEVER, "float32"), scalar(0, "float32")]);
}

/** Softmax of scores [B, kv, group * T, T]; all heads that share keys are rows of one matrix. */
function weightsOf(build: Build, scores: string, x: string, { heads, kvHeads }: Sizes, causal: boolean): string {
  const { emit, ints } = build;
  if (!causal) return emit("Softmax", [scores], { axis: -1 });
  const apart = emit("Reshape", [scores, ints([0, 0, heads / kvHeads, 0, -1])]);
  const masked = emit("Add", [apart, causalMask(build, x)]);
  return emit("Reshape", [emit("Softmax", [masked], { axis: -1 }), ints([0, 0, -1, 0])]);
}

/**
 * Self-attention over [B, T, width], plain or grouped, several heads (Vaswani et al., arXiv:1706.03762). Weights
 * `attention.query.weight` [width, heads * headDim], `key` and `value` [width, kvHeads * headDim], `output`.
 */
export const attention = (options: AttentionOptions): Layer => {
  return (outer, x) => {
    const build = outer.inside("attention");
    const { emit, ints } = build;
    const sizes = sizesOf(build, x, options);
    const { heads, kvHeads, headDim } = sizes;
    const split = (value: string, shape: readonly number[], perm: readonly number[]) =>
      emit("Transpose", [emit("Reshape", [value, ints([0, 0, ...shape, headDim])])], { perm });
    const query = project(build, "query", x, heads * headDim, options);
    const scaled = emit("Mul", [query, build.scalar(Math.fround(1 / Math.sqrt(headDim)), "float32")]);
    const queries = split(scaled, [kvHeads, heads / kvHeads], [0, 2, 3, 1, 4]);
    const keys = split(project(build, "key", x, kvHeads * headDim, options), [kvHeads], [0, 2, 1, 3]);
    const values = split(project(build, "value", x, kvHeads * headDim, options), [kvHeads], [0, 2, 1, 3]);
    const turns = options.rotary && angles(build, x, headDim, options.rotary.base ?? 10_000);
    const turn = (value: string) => (turns ? rotated(build, value, turns) : value);
    const grouped = emit("Reshape", [turn(queries), ints([0, 0, -1, headDim])]);
    const scores = emit("MatMul", [grouped, emit("Transpose", [turn(keys)], { perm: [0, 1, 3, 2] })]);
    const mixed = emit("MatMul", [weightsOf(build, scores, x, sizes, options.causal ?? false), values]);
    const apart = emit("Reshape", [mixed, ints([0, 0, heads / kvHeads, -1, headDim])]);
    const joined = emit("Reshape", [
      emit("Transpose", [apart], { perm: [0, 3, 1, 2, 4] }),
      ints([0, 0, heads * headDim]),
    ]);
    const { outputInit = options.init } = options;
    const last = { ...options, ...(outputInit && { init: outputInit }) };
    return project(build, "output", joined, build.length(x, -1), last);
  };
};
