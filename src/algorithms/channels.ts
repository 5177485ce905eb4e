/** int8 and uint8 codes with one scale per channel or tensor. */
import type { Scheme } from "../ir/scheme.ts";
import { axisScales, axisShape, encodeAxis } from "../kernels/axis.ts";
import { DTYPES, elementCount } from "../numeric/dtypes.ts";
import { fail } from "../numeric/errors.ts";
import { codeRange } from "../numeric/qparams.ts";
import type { Codes, Weights } from "./algorithm.ts";

/** Rounding to nearest, per axis or per tensor. Zero points are stored in the codes' type. */
export function quantizeChannels({ values, shape, axis }: Weights, scheme: Scheme): Codes {
  const { dtype, symmetric, granularity, reduceRange } = scheme;
  if (dtype !== "int8" && dtype !== "uint8")
    fail("unsupported", `weights per ${granularity.per} are int8 or uint8, not ${dtype}`);
  const [min, max] = codeRange(DTYPES[dtype], symmetric, reduceRange);
  const layout = axisShape(
    granularity.per === "axis" ? shape : [1, elementCount(shape)],
    granularity.per === "axis" ? axis : 0,
  );
  const params = axisScales(values, layout, { min, max, symmetric });
  const codes = dtype === "int8" ? new Int8Array(values.length) : new Uint8Array(values.length);
  encodeAxis(values, layout, params, codes);
  const bytes = new Uint8Array(codes.buffer);
  return symmetric && dtype === "int8"
    ? { codes: bytes, scales: params.scales }
    : { codes: bytes, scales: params.scales, zeroPoints: Uint8Array.from(params.zeroPoints) };
}
