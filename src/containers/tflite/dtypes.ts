/** Element types as TFLite numbers them (TensorType). */
import type { DType } from "../../numeric/dtypes.ts";
import { ENUMS } from "./schema-enums.ts";

type TensorType = (typeof ENUMS.TensorType.names)[number];

/** undefined for handles, which hold no elements. */
const DTYPE: { readonly [T in TensorType]: DType | undefined } = {
  FLOAT32: "float32",
  FLOAT16: "float16",
  INT32: "int32",
  UINT8: "uint8",
  INT64: "int64",
  STRING: "string",
  BOOL: "bool",
  INT16: "int16",
  COMPLEX64: "complex64",
  INT8: "int8",
  FLOAT64: "float64",
  COMPLEX128: "complex128",
  UINT64: "uint64",
  RESOURCE: undefined,
  VARIANT: undefined,
  UINT32: "uint32",
  UINT16: "uint16",
  INT4: "int4",
  BFLOAT16: "bfloat16",
  INT2: "int2",
  UINT4: "uint4",
  FLOAT8_E4M3FN: "float8e4m3fn",
  FLOAT8_E5M2: "float8e5m2",
};

/** Whether a number is that of a type. */
export const isTensorType = (number: number): boolean => number in ENUMS.TensorType.names;

/** Element type by number; undefined for handles. */
export function dtypeOf(number: number): DType | undefined {
  const name = ENUMS.TensorType.names[number];
  return name === undefined ? undefined : DTYPE[name];
}

/** Number of an element type; undefined where TFLite has none. */
export function tensorTypeOf(dtype: DType): number | undefined {
  const number = ENUMS.TensorType.names.findIndex((name) => DTYPE[name] === dtype);
  return number < 0 ? undefined : number;
}
