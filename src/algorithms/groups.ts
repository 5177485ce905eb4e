/** Affine codes in groups: the grids of MatMulNBits and GatherBlockQuantized. */
import type { Scheme } from "../ir/scheme.ts";
import {
  type BlockGrid,
  type BlockParams,
  blockBytes,
  blockCount,
  encodeBlocks,
  packZeroPoints,
  type RoundScale,
} from "../kernels/blocks.ts";
import { eachRun, type MatrixShape, type Run } from "../kernels/runs.ts";
import { fail } from "../numeric/errors.ts";
import { floatToHalf, halfToFloat } from "../numeric/half.ts";
import type { Codes, Weights } from "./algorithm.ts";

const MIN_GROUP = 16;
const MAX_GROUP = 256;

const BITS: Readonly<Record<string, BlockGrid["bits"]>> = { uint2: 2, uint4: 4, uint8: 8 };

/** The grid of a scheme in groups. Throws where no kernel has such a grid. */
export function blockGrid(scheme: Scheme): BlockGrid {
  const { granularity, dtype, symmetric } = scheme;
  if (granularity.per !== "group") return fail("unsupported", `${dtype} per ${granularity.per}: expected groups`);
  const { size } = granularity;
  const bits = BITS[dtype] ?? fail("unsupported", `codes in groups are uint2, uint4 or uint8, not ${dtype}`);
  if (size < MIN_GROUP || size > MAX_GROUP || (size & (size - 1)) !== 0)
    fail("usage", `group size ${size}: expected a power of two from ${MIN_GROUP} to ${MAX_GROUP}`);
  return { bits, size, symmetric };
}

/** A two-dimensional weight as rows along its reduction axis. */
export function matrixOf({ shape, axis }: Pick<Weights, "shape" | "axis">): MatrixShape {
  const [rows, columns] = shape;
  if (shape.length !== 2 || rows === undefined || columns === undefined)
    return fail("unsupported", `a weight of shape [${shape}] has no groups: expected two dimensions`);
  return axis === 0 ? { n: rows, k: columns, stored: "nk" } : { n: columns, k: rows, stored: "kn" };
}

const toHalf: RoundScale = (scale) => halfToFloat(floatToHalf(scale));
const unchanged: RoundScale = (scale) => scale;

/** Finds scale and zero point of every block of a run. */
export type ScaleKernel = (run: Run, grid: BlockGrid, round: RoundScale, params: BlockParams) => void;

/** Codes on the grids that `scaleKernel` finds, one block after the other while it is in the cache. */
export function quantizeGroups(weights: Weights, scheme: Scheme, scaleKernel: ScaleKernel): Codes {
  const grid = blockGrid(scheme);
  const shape = matrixOf(weights);
  const blocks = blockCount(shape, grid);
  const params: BlockParams = { scales: new Float32Array(blocks), zeroPoints: new Uint8Array(blocks) };
  const codes = new Uint8Array(blocks * blockBytes(grid));
  const round = weights.dtype === "float16" ? toHalf : unchanged;
  eachRun(weights.values, shape, grid.size, (run) => {
    scaleKernel(run, grid, round, params);
    encodeBlocks(run, grid, params, codes);
  });
  if (scheme.symmetric) return { codes, scales: params.scales };
  const zeroPoints = packZeroPoints(params.zeroPoints, blocks / shape.n, grid.bits);
  return { codes, scales: params.scales, zeroPoints };
}
