/** Scales and zero points that a plan gives instead of asking for a search: trained step sizes, a model's own. */
import type { Codes, Weights } from "../algorithms/algorithm.ts";
import { packedCodes } from "../algorithms/channels.ts";
import { blockGrid, matrixOf } from "../algorithms/groups.ts";
import type { NodePlan } from "../ir/plan.ts";
import { codesOf, type QParams, type Scheme } from "../ir/scheme.ts";
import { axisShape } from "../kernels/axis.ts";
import { blockBytes, blockCount, packZeroPoints } from "../kernels/blocks.ts";
import { eachRun } from "../kernels/runs.ts";
import { elementCount } from "../numeric/dtypes.ts";
import { fail } from "../numeric/errors.ts";
import { floatToHalf, halfToFloat } from "../numeric/half.ts";
import { type Affine, MIN_SCALE } from "../numeric/qparams.ts";
import { roundHalfEven } from "../numeric/rounding.ts";
import type { Grid } from "./dynamic-codes.ts";

/** What decides over the codes of a weight. */
export const weightKey = ({ axis, scheme, qparams }: NonNullable<NodePlan["weight"]>): string =>
  JSON.stringify([axis, scheme, qparams && [...qparams.scale, ...qparams.zeroPoint]]);

/** Codes are clipped to the scheme's grid, and nothing else is searched. */
export function givenGrid(scheme: Scheme): Grid {
  const [low, high] = codesOf(scheme);
  return { min: low, max: high, low, high, symmetric: scheme.symmetric, ...(scheme.odd && { odd: true }) };
}

/** Refuses a scale that is no positive normal float32 and a zero point outside of the grid. */
export function givenAffine({ scale, zeroPoint }: Affine, scheme: Scheme, where: string): Affine {
  const [low, high] = codesOf(scheme);
  const single = Math.fround(scale);
  if (!(single >= MIN_SCALE && single < Number.POSITIVE_INFINITY))
    fail("data", `${where}: scale ${scale} is given; expected a positive float32 number`);
  if (!Number.isInteger(zeroPoint) || zeroPoint < low || zeroPoint > high)
    fail("data", `${where}: zero point ${zeroPoint} is given; expected a whole number from ${low} to ${high}`);
  return { scale: single, zeroPoint };
}

/** Refuses given parameters that don't fit the layout: `count` scales and zero points. */
export function givenParams(given: QParams, scheme: Scheme, count: number, where: string): QParams {
  if (given.scale.length !== count || given.zeroPoint.length !== count)
    fail(
      "data",
      `${where}: ${given.scale.length} scales and ${given.zeroPoint.length} zero points are given; expected ${count}`,
    );
  for (let i = 0; i < count; i++)
    givenAffine({ scale: given.scale[i]!, zeroPoint: given.zeroPoint[i]! }, scheme, `${where}, entry ${i}`);
  return given;
}

const codeOf = (value: number, scale: number, zero: number, low: number, high: number): number =>
  Math.min(Math.max(roundHalfEven(Math.fround(value / scale)) + zero, low), high);

/** What the algorithms return, on given grids: see `Codes` for the layout. Codebooks have no such grids. */
export function quantizeGiven(weights: Weights, scheme: Scheme, given: QParams, name: string): Codes {
  if (scheme.codebook !== undefined)
    fail("unsupported", `weight "${name}": scale and zero point are given, but ${scheme.codebook} is a table`);
  const scale = weights.dtype === "float16" ? given.scale.map((s) => halfToFloat(floatToHalf(s))) : given.scale;
  const params = { scale, zeroPoint: given.zeroPoint };
  return scheme.granularity.per === "group"
    ? givenGroups(weights, scheme, params, name)
    : givenChannels(weights, scheme, params, name);
}

function givenGroups(weights: Weights, scheme: Scheme, given: QParams, name: string): Codes {
  const grid = blockGrid(scheme);
  const shape = matrixOf(weights);
  const count = blockCount(shape, grid);
  const { scale, zeroPoint } = givenParams(given, scheme, count, `weight "${name}"`);
  const [low, high] = codesOf(scheme);
  const bytes = blockBytes(grid);
  const codes = new Uint8Array(count * bytes);
  eachRun(weights.values, shape, grid.size, ({ values, length, count: blocks, at, stride }) => {
    for (let i = 0, from = 0, block = at; i < blocks; i++, from += length, block += stride)
      for (let j = 0; j < length; j++) {
        const bit = block * bytes * 8 + j * grid.bits;
        codes[bit >> 3]! |= codeOf(values[from + j]!, scale[block]!, zeroPoint[block]!, low, high) << (bit & 7);
      }
  });
  if (!scheme.symmetric)
    return { codes, scales: scale, zeroPoints: packZeroPoints(Uint8Array.from(zeroPoint), count / shape.n, grid.bits) };
  refuseOtherZero(zeroPoint, 2 ** (grid.bits - 1), name);
  return { codes, scales: scale };
}

function givenChannels({ values, shape, axis }: Weights, scheme: Scheme, given: QParams, name: string): Codes {
  const all = scheme.granularity.per === "tensor";
  const { channels, inner } = axisShape(all ? [1, elementCount(shape)] : shape, all ? 0 : axis);
  const { scale, zeroPoint } = givenParams(given, scheme, channels, `weight "${name}"`);
  const [low, high] = codesOf(scheme);
  const codes = new Uint8Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const c = Math.floor(i / inner) % channels;
    codes[i] = codeOf(values[i]!, scale[c]!, zeroPoint[c]!, low, high);
  }
  const packed = packedCodes(codes, scheme);
  if (!scheme.symmetric) return { codes: packed, scales: scale, zeroPoints: Uint8Array.from(zeroPoint) };
  refuseOtherZero(zeroPoint, 0, name);
  return { codes: packed, scales: scale };
}

/** A symmetric form stores no zero points. */
function refuseOtherZero(zeroPoints: Int32Array, middle: number, name: string): void {
  const other = zeroPoints.find((zero) => zero !== middle);
  if (other !== undefined)
    fail("data", `weight "${name}": zero point ${other} is given; a symmetric scheme has ${middle}`);
}
