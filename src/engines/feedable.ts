/** What JavaScript can hand to engines, and what it must look like. */
import type { NDArray, ValueInfo } from "../ir/model.ts";
import { type DType, elementCount } from "../numeric/dtypes.ts";
import { fail } from "../numeric/errors.ts";

/** Dtypes that JavaScript can feed, and the array each travels in (float16: its bits). */
export const FEEDABLE = {
  float32: Float32Array,
  float64: Float64Array,
  float16: Uint16Array,
  int64: BigInt64Array,
  int32: Int32Array,
  int16: Int16Array,
  int8: Int8Array,
  uint64: BigUint64Array,
  uint32: Uint32Array,
  uint16: Uint16Array,
  uint8: Uint8Array,
  bool: Uint8Array,
} as const satisfies Partial<Record<DType, unknown>>;

export type FeedableDType = keyof typeof FEEDABLE;

export const isFeedable = (dtype: string): dtype is FeedableDType => Object.hasOwn(FEEDABLE, dtype);

/** The dtype of an array whose data is of the right kind and length for it; `where` names the input in errors. */
export function checkedDType({ dtype, shape, data }: NDArray, where: string): FeedableDType {
  if (!isFeedable(dtype))
    fail(
      "unsupported",
      `${where}: ${dtype} can't be fed from JavaScript; use one of ${Object.keys(FEEDABLE).join(", ")}`,
    );
  const expected = FEEDABLE[dtype];
  if (!(data instanceof expected))
    fail("data", `${where}: ${dtype} data is a ${data.constructor.name}; use a ${expected.name}`);
  if (data.length !== elementCount(shape))
    fail("data", `${where}: shape [${shape}] has ${elementCount(shape)} elements, but the data has ${data.length}`);
  return dtype;
}

/** Declared shapes may be absurd; 1 GiB of float32 zeros is more than any model's input needs. */
const MAX_ZEROS = 2 ** 28;

/** Zeros of the smallest legal shape: every open dimension is 1. */
export function zeros({ name, dtype = "float32", shape = [] }: ValueInfo): NDArray {
  if (!isFeedable(dtype)) fail("unsupported", `input "${name}": ${dtype} can't be fed from JavaScript`);
  const lengths = shape.map((length) => (typeof length === "number" ? length : 1));
  if (elementCount(lengths) > MAX_ZEROS)
    fail("limit", `input "${name}": shape [${lengths}] has more than ${MAX_ZEROS} elements; give data for it`);
  return { dtype, shape: lengths, data: new FEEDABLE[dtype](elementCount(lengths)) };
}
