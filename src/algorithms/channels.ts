/** Codes with one scale per channel or tensor: int8 and uint8, int4 and int2 packed. */
import { codesOf, type Scheme } from "../ir/scheme.ts";
import { type AxisGrid, type AxisParams, type AxisShape, axisScales, axisShape, encodeAxis } from "../kernels/axis.ts";
import { clippedAxisScales } from "../kernels/axis-clip.ts";
import { DTYPES, elementCount } from "../numeric/dtypes.ts";
import { fail } from "../numeric/errors.ts";
import { packCodes } from "../numeric/packing.ts";
import { codeRange } from "../numeric/qparams.ts";
import type { Codes, Weights } from "./algorithm.ts";

/** How scales are found: to cover all values, or with the least squared error. */
export type ChannelMethod = "rtn" | "mse";

/** Smallest and largest code for ranges, and for codes. */
interface CodeBounds extends AxisGrid {
  readonly codes: readonly [number, number];
}

/** Of narrow codes, one more is negative than positive: the range is spread over as many on both sides. */
function boundsOf(scheme: Scheme): CodeBounds {
  const { dtype, symmetric, reduceRange, granularity } = scheme;
  if (dtype === "int4" || dtype === "int2") {
    if (!symmetric) return fail("unsupported", `${dtype} weights per ${granularity.per} are symmetric`);
    const [low, high] = codesOf(scheme);
    return { min: -high, max: high, symmetric, codes: [low, high] };
  }
  if (dtype !== "int8" && dtype !== "uint8")
    return fail("unsupported", `weights per ${granularity.per} are int8, uint8, int4 or int2, not ${dtype}`);
  const [min, max] = codeRange(DTYPES[dtype], symmetric, reduceRange);
  const { min: low, max: high } = DTYPES[dtype];
  return { min, max, symmetric, codes: [low, high] };
}

function paramsOf(values: Float32Array, layout: AxisShape, bounds: CodeBounds, method: ChannelMethod): AxisParams {
  const { max, codes, symmetric } = bounds;
  if (method === "rtn") return axisScales(values, layout, bounds);
  if (!symmetric) return fail("unsupported", "the search for clipped ranges per channel is for symmetric weights");
  return clippedAxisScales(values, layout, { low: codes[0], high: codes[1], max });
}

/** Rounding to nearest, per axis or per tensor. Zero points are stored in the codes' type. */
export function quantizeChannels({ values, shape, axis }: Weights, scheme: Scheme, method: ChannelMethod): Codes {
  const { dtype, symmetric, granularity } = scheme;
  const bounds = boundsOf(scheme);
  const layout = axisShape(
    granularity.per === "axis" ? shape : [1, elementCount(shape)],
    granularity.per === "axis" ? axis : 0,
  );
  const params = paramsOf(values, layout, bounds, method);
  const codes = dtype === "uint8" ? new Uint8Array(values.length) : new Int8Array(values.length);
  encodeAxis(values, layout, params, codes, bounds.codes);
  const bytes = packedCodes(new Uint8Array(codes.buffer), scheme);
  return symmetric && dtype !== "uint8"
    ? { codes: bytes, scales: params.scales }
    : { codes: bytes, scales: params.scales, zeroPoints: Uint8Array.from(params.zeroPoints) };
}

/** One byte for each code as the scheme's type stores them. */
export function packedCodes(codes: Uint8Array, { dtype }: Scheme): Uint8Array {
  const { bits } = DTYPES[dtype];
  return bits === 4 || bits === 2 ? packCodes(codes, bits) : codes;
}
