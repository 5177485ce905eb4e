/** safetensors' names of element types. */
import type { DType } from "../../numeric/dtypes.ts";

/**
 * In the order of the format's own list (safetensors 0.8, tensor.rs): from small alignment to large. Files are laid out
 * by it, the last first.
 */
export const DTYPE_NAMES = {
  BOOL: "bool",
  F4: "float4e2m1",
  F6_E2M3: "float6e2m3",
  F6_E3M2: "float6e3m2",
  U8: "uint8",
  I8: "int8",
  F8_E5M2: "float8e5m2",
  F8_E4M3: "float8e4m3fn",
  F8_E8M0: "float8e8m0",
  F8_E4M3FNUZ: "float8e4m3fnuz",
  F8_E5M2FNUZ: "float8e5m2fnuz",
  I16: "int16",
  U16: "uint16",
  F16: "float16",
  BF16: "bfloat16",
  I32: "int32",
  U32: "uint32",
  F32: "float32",
  C64: "complex64",
  F64: "float64",
  I64: "int64",
  U64: "uint64",
} as const satisfies Record<string, DType>;

/** Element type of a name; undefined where the format has none such. */
export const dtypeOf = (name: string): DType | undefined =>
  Object.hasOwn(DTYPE_NAMES, name) ? DTYPE_NAMES[name as keyof typeof DTYPE_NAMES] : undefined;

const RANKS = new Map<string, { readonly name: string; readonly rank: number }>(
  Object.entries(DTYPE_NAMES).map(([name, dtype], rank) => [dtype, { name, rank }]),
);

/** Name and place in the list of an element type; undefined where the format has none for it. */
export const nameOf = (type: string): { readonly name: string; readonly rank: number } | undefined => RANKS.get(type);
