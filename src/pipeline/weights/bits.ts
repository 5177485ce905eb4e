/** Sizes in the unit that language models are compared by. */
import { elementCount } from "../../numeric/dtypes.ts";
import type { TensorPlan } from "./plan.ts";

/** Bits that all tensors of a plan take for each of their weights, as llama-quantize says it: without headers. */
export function bitsPerWeight(tensors: readonly Pick<TensorPlan, "shape" | "after">[]): number {
  const weights = tensors.reduce((sum, { shape }) => sum + elementCount(shape), 0);
  return weights === 0 ? 0 : (8 * tensors.reduce((sum, { after }) => sum + after, 0)) / weights;
}

const UNITS = [
  ...([
    ["TB", 1e12],
    ["GB", 1e9],
    ["MB", 1e6],
    ["kB", 1e3],
  ] as const),
  ...([
    ["TiB", 2 ** 40],
    ["GiB", 2 ** 30],
    ["MiB", 2 ** 20],
    ["KiB", 2 ** 10],
  ] as const),
] as const;

/** Most digits behind the point of a size in a file's name. */
const DIGITS = 3;

/** A number of bytes in the unit it was meant in: "4.2GB", "1.5GiB", "12345B". */
export function sizeLabel(bytes: number): string {
  const exact = ([, unit]: (typeof UNITS)[number]) =>
    bytes >= unit && Number((bytes / unit).toFixed(DIGITS)) * unit === bytes;
  const found = UNITS.find(exact);
  return found === undefined ? `${bytes}B` : `${bytes / found[1]}${found[0]}`;
}
