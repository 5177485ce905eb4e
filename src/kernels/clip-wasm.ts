/** The clip search in WebAssembly SIMD, four values at a time. No relaxed operations: the same scales on every machine. */
import {
  type Code,
  doWhile,
  f32,
  f32x4,
  i32,
  ifThen,
  type Local,
  locals,
  moduleOf,
  type ValueType,
} from "./assemble.ts";
import { type BlockGrid, type BlockParams, type RoundScale, topCode } from "./blocks.ts";
import { CLIP_SHARES, candidateFinder, FIELDS } from "./clip.ts";
import type { Run } from "./runs.ts";

/** Blocks of one call and where their parts lie in memory. */
const BATCH = 64;
/** Most values of one block. */
export const MAX_LENGTH = 256;
const MAX_CANDIDATES = 8;
const VALUES_AT = 0;
const CANDIDATES_AT = VALUES_AT + BATCH * MAX_LENGTH * 4;
const BEST_AT = CANDIDATES_AT + BATCH * MAX_CANDIDATES * FIELDS * 4;
const PAGES = 2;

const PARAMETERS = {
  values: "i32",
  /** Of one block, a multiple of 16. */
  bytes: "i32",
  candidates: "i32",
  /** Of one block. */
  count: "i32",
  best: "i32",
  blocks: "i32",
  top: "f32",
} as const satisfies Record<string, ValueType>;

const INNER = {
  at: "i32",
  end: "i32",
  candidate: "i32",
  chosen: "i32",
  least: "f32",
  error: "f32",
  highest: "v128",
  scale: "v128",
  zero: "v128",
  reciprocal: "v128",
  value: "v128",
  sum: "v128",
} as const satisfies Record<string, ValueType>;

const x = locals({ ...PARAMETERS, ...INNER });
const advance = (local: Local, by: number): Code => local.set(i32.add(local.get, i32.const(by)));

const scaled = f32x4.add(f32x4.mul(x.value.get, x.reciprocal.get), x.zero.get);
const code = f32x4.nearest(f32x4.pmin(x.highest.get, f32x4.pmax(f32x4.zero, scaled)));
const decoded = f32x4.mul(f32x4.sub(code, x.zero.get), x.scale.get);

/** Adds the squared errors of four values to `sum`. */
const eachFour = doWhile(
  [
    x.value.set(f32x4.load(x.at.get)),
    x.value.set(f32x4.sub(x.value.get, decoded)),
    x.sum.set(f32x4.add(x.sum.get, f32x4.mul(x.value.get, x.value.get))),
    advance(x.at, 16),
  ],
  i32.lt(x.at.get, x.end.get),
);

const field = (index: number): Code => f32x4.splat(f32.load(x.candidates.get, index * 4));
const total = [0, 1, 2, 3].map((lane) => f32x4.lane(x.sum.get, lane)).reduce((sum, lane) => f32.add(sum, lane));

/** Measures the block on one grid and remembers the better one. */
const eachCandidate = doWhile(
  [
    x.scale.set(field(0)),
    x.zero.set(field(1)),
    x.reciprocal.set(field(2)),
    advance(x.candidates, FIELDS * 4),
    x.sum.set(f32x4.zero),
    x.at.set(x.values.get),
    eachFour,
    x.error.set(total),
    ifThen(f32.lt(x.error.get, x.least.get), [x.least.set(x.error.get), x.chosen.set(x.candidate.get)]),
    advance(x.candidate, 1),
  ],
  i32.lt(x.candidate.get, x.count.get),
);

/** Writes the index of the best candidate. */
const eachBlock = doWhile(
  [
    x.end.set(i32.add(x.values.get, x.bytes.get)),
    x.least.set(f32.const(Number.POSITIVE_INFINITY)),
    x.candidate.set(i32.const(0)),
    x.chosen.set(i32.const(0)),
    eachCandidate,
    i32.store(x.best.get, x.chosen.get),
    advance(x.best, 4),
    x.values.set(x.end.get),
    x.blocks.set(i32.sub(x.blocks.get, i32.const(1))),
  ],
  x.blocks.get,
);

const program = (): Uint8Array<ArrayBuffer> =>
  moduleOf(Object.values(PARAMETERS), Object.values(INNER), [x.highest.set(f32x4.splat(x.top.get)), eachBlock], PAGES);

/** What is used of the runtime's global object, which the compiler's libraries for Node do not declare. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array<ArrayBuffer>) => object;
  readonly Instance: new (
    module: object,
  ) => {
    readonly exports: { readonly memory: { readonly buffer: ArrayBuffer }; readonly run: RunProgram };
  };
  validate(bytes: Uint8Array<ArrayBuffer>): boolean;
};

type RunProgram = (
  values: number,
  bytes: number,
  candidates: number,
  count: number,
  best: number,
  blocks: number,
  top: number,
) => void;

interface Machine {
  readonly values: Float32Array;
  readonly candidates: Float32Array;
  readonly best: Int32Array;
  readonly run: RunProgram;
}

function start(): Machine {
  const { memory, run } = new WebAssembly.Instance(new WebAssembly.Module(program())).exports;
  const { buffer } = memory;
  return {
    values: new Float32Array(buffer, VALUES_AT, BATCH * MAX_LENGTH),
    candidates: new Float32Array(buffer, CANDIDATES_AT, BATCH * MAX_CANDIDATES * FIELDS),
    best: new Int32Array(buffer, BEST_AT, BATCH),
    run,
  };
}

/** False where the runtime has no WebAssembly SIMD. */
export const hasClipWasm = (): boolean => typeof WebAssembly === "object" && WebAssembly.validate(program());

let machine: Machine | undefined;

/** Blocks of equal length whose best grids are looked for. */
export interface ClipSearch {
  /** The blocks side by side. */
  readonly values: Float32Array;
  /** Values of one block, at most 256. */
  readonly length: number;
  readonly count: number;
  /** Candidates of one block, at most 8. */
  readonly candidates: number;
  /** Largest code; the smallest is 0. */
  readonly top: number;
  /** Writes the candidates of a block, `FIELDS` numbers each, to `out` from `at` on. */
  find(block: number, out: Float32Array, at: number): void;
  /** Told of the best candidate: its numbers stand in `out` from `at` on. */
  choose(block: number, out: Float32Array, at: number): void;
}

/** Each block padded with zeros (whose error is zero) to whole vectors. */
function fill({ values, length }: ClipSearch, first: number, count: number, padded: number, out: Float32Array): void {
  if (length < padded) out.fill(0, 0, count * padded);
  else out.set(values.subarray(first * length, (first + count) * length));
  for (let i = 0; i < count && length < padded; i++) {
    const from = (first + i) * length;
    out.set(values.subarray(from, from + length), i * padded);
  }
}

/** The candidate with the least squared error of each block; sums are float32, so one within 1e-6 of the best may be taken. */
export function searchClips(search: ClipSearch): void {
  machine ??= start();
  const { values, candidates, best, run } = machine;
  const { length, count, top, candidates: perBlock } = search;
  const padded = Math.ceil(length / 4) * 4;
  for (let first = 0; first < count; first += BATCH) {
    const blocks = Math.min(BATCH, count - first);
    fill(search, first, blocks, padded, values);
    for (let i = 0; i < blocks; i++) search.find(first + i, candidates, i * perBlock * FIELDS);
    run(VALUES_AT, padded * 4, CANDIDATES_AT, perBlock, BEST_AT, blocks, top);
    for (let i = 0; i < blocks; i++) search.choose(first + i, candidates, (i * perBlock + best[i]!) * FIELDS);
  }
}

/** `clippedScales` in WebAssembly. */
export function clippedScalesWasm(run: Run, grid: BlockGrid, round: RoundScale, params: BlockParams): void {
  const { values, length, count, stride } = run;
  const find = candidateFinder(grid, round);
  searchClips({
    ...{ values, length, count, candidates: CLIP_SHARES[grid.bits].length, top: topCode(grid) },
    find: (block, out, at) => find(run, block * length, out, at),
    choose(block, out, at) {
      params.scales[run.at + block * stride] = out[at]!;
      params.zeroPoints[run.at + block * stride] = out[at + 1]!;
    },
  });
}
