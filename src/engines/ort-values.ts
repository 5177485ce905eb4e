/** Values and their types, to and from ONNX Runtime's tensors. */
import type { Tensor as OrtTensor } from "onnxruntime-web";
import type { Dim, NDArray, TypedArray, ValueInfo } from "../ir/model.ts";
import { type DType, elementCount, isDType } from "../numeric/dtypes.ts";
import { fail } from "../numeric/errors.ts";
import type { Ort, OrtMetadata } from "./ort-api.ts";

/** What JavaScript can feed to ONNX Runtime, and the array each dtype travels in (float16: its bits). */
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

/** An unnamed dimension of any length: -1, which the native engine hands out as an unsigned number. */
const ANY_LENGTH: ReadonlySet<number | string> = new Set(["", -1, 2 ** 32 - 1]);

const dim = (found: number | string): Dim => (ANY_LENGTH.has(found) ? null : found);

/** Name, dtype and shape of an input or output; no dtype for sequences, maps and optionals. */
export const valueInfo = (found: OrtMetadata): ValueInfo =>
  found.isTensor && isDType(found.type)
    ? { name: found.name, dtype: found.type, shape: found.shape.map(dim) }
    : { name: found.name };

/** Where `Float16Array` exists, ONNX Runtime turns bits into one, and its native part (1.30) then takes it for empty. */
const halfTensor = (ort: Ort, data: TypedArray, shape: readonly number[]): OrtTensor =>
  Object.assign(new ort.Tensor("uint16", data as never, shape), { type: "float16" }) as OrtTensor;

/** `where` names the input in errors. */
export function toTensor(ort: Ort, { dtype, shape, data }: NDArray, where: string): OrtTensor {
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
  return dtype === "float16"
    ? halfTensor(ort, data, shape)
    : (new ort.Tensor(dtype, data as never, shape) as OrtTensor);
}

/** Engines with `Float16Array` hand it out for float16; its bits are what fewbit carries. */
const bits = (data: TypedArray): TypedArray => new Uint16Array(data.buffer, data.byteOffset, data.length);

export function fromTensor(tensor: OrtTensor, where: string): NDArray {
  const { type, dims } = tensor;
  if (!isFeedable(type)) fail("unsupported", `${where}: ${type} values can't be handed to JavaScript`);
  const data = tensor.data as TypedArray;
  return { dtype: type, shape: dims, data: type === "float16" && !(data instanceof Uint16Array) ? bits(data) : data };
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
