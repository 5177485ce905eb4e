/** TFLite's QuantizationParameters and the noun Quantization. */
import type { Quantization } from "../../ir/scheme.ts";
import type { Table } from "./schema.ts";

type Parameters = Table<"QuantizationParameters">;

/** Names of the tensors that block scales and zero points lie in. */
export interface BlockNames {
  readonly scales?: string;
  readonly zeroPoints?: string;
}

const INT32_MAX = 2_147_483_647;
const int32 = (value: number | bigint): number => Math.max(-INT32_MAX - 1, Math.min(INT32_MAX, Number(value)));

/** One zero point for each scale: none stands for 0, a single one for all. */
function zeroPoints(given: readonly (number | bigint)[], count: number): Int32Array {
  const at = (index: number): number | bigint => (given.length === 1 ? given[0] : given[index]) ?? 0;
  return Int32Array.from({ length: count }, (_, index) => int32(at(index)));
}

function blocks(parameters: Parameters, { scales, zeroPoints: zeros }: BlockNames): Quantization["blocks"] | undefined {
  const { details } = parameters;
  if (details?.type !== "BlockwiseQuantization" || scales === undefined) return undefined;
  const { block_size: size = 0 } = details.value as Table<"BlockwiseQuantization">;
  return { scales, ...(zeros !== undefined && { zeroPoints: zeros }), size };
}

/** The noun for what a tensor says; undefined for one that is not quantized, or in a way without a noun. */
export function quantizationOf(parameters: Parameters | undefined, names: BlockNames): Quantization | undefined {
  if (parameters === undefined) return undefined;
  const found = blocks(parameters, names);
  if (found) return { qparams: { scale: new Float32Array(), zeroPoint: new Int32Array() }, blocks: found };
  const { scale = [], zero_point = [], quantized_dimension: axis = 0 } = parameters;
  if (scale.length === 0) return undefined;
  const qparams = { scale: Float32Array.from(scale), zeroPoint: zeroPoints(zero_point, scale.length) };
  return scale.length > 1 || axis !== 0 ? { qparams, axis } : { qparams };
}

const sameList = (a: ArrayLike<number>, b: ArrayLike<number>): boolean =>
  a.length === b.length && Array.prototype.every.call(a, (value: number, index: number) => Object.is(value, b[index]));

/** Whether two say the same. */
export function sameQuantization(a: Quantization | undefined, b: Quantization | undefined): boolean {
  if (a === b) return true;
  if (a === undefined || b === undefined) return false;
  return (
    a.axis === b.axis &&
    sameList(a.qparams.scale, b.qparams.scale) &&
    sameList(a.qparams.zeroPoint, b.qparams.zeroPoint) &&
    a.blocks?.scales === b.blocks?.scales &&
    a.blocks?.zeroPoints === b.blocks?.zeroPoints &&
    a.blocks?.size === b.blocks?.size
  );
}

/** What a tensor says for a noun; `index` gives the numbers of tensors. */
export function parametersOf(noun: Quantization, index: (name: string) => number): Parameters {
  const { qparams, axis, blocks: found } = noun;
  if (found) {
    const zeros = found.zeroPoints === undefined ? -1 : index(found.zeroPoints);
    const value = { scales: index(found.scales), zero_points: zeros, block_size: found.size };
    return { details: { type: "BlockwiseQuantization", value } };
  }
  return {
    scale: [...qparams.scale],
    zero_point: [...qparams.zeroPoint],
    ...(axis !== undefined && axis !== 0 && { quantized_dimension: axis }),
  };
}
