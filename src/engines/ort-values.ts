/** Values and their types, to and from ONNX Runtime's tensors. */
import type { Tensor as OrtTensor } from "onnxruntime-web";
import type { Dim, NDArray, TypedArray, ValueInfo } from "../ir/model.ts";
import { isDType } from "../numeric/dtypes.ts";
import { fail } from "../numeric/errors.ts";
import { checkedDType, isFeedable } from "./feedable.ts";
import type { Ort, OrtMetadata } from "./ort-api.ts";

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
export function toTensor(ort: Ort, array: NDArray, where: string): OrtTensor {
  const dtype = checkedDType(array, where);
  const { data, shape } = array;
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
