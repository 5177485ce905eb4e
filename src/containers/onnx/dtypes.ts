/** ONNX's numbers for element types (TensorProto.DataType), and where a tensor of each type may keep its elements. */
import type { DType } from "../../numeric/dtypes.ts";
import { fail } from "../../numeric/errors.ts";

/** The typed field that may hold a tensor's elements instead of raw_data. */
export type TypedField = "floatData" | "int32Data" | "int64Data" | "doubleData" | "uint64Data" | "stringData";

/** From the comments of TensorProto in onnx.proto. */
export const ELEMENT_TYPES = {
  float32: { code: 1, field: "floatData" },
  uint8: { code: 2, field: "int32Data" },
  int8: { code: 3, field: "int32Data" },
  uint16: { code: 4, field: "int32Data" },
  int16: { code: 5, field: "int32Data" },
  int32: { code: 6, field: "int32Data" },
  int64: { code: 7, field: "int64Data" },
  string: { code: 8, field: "stringData" },
  bool: { code: 9, field: "int32Data" },
  float16: { code: 10, field: "int32Data" },
  float64: { code: 11, field: "doubleData" },
  uint32: { code: 12, field: "uint64Data" },
  uint64: { code: 13, field: "uint64Data" },
  complex64: { code: 14, field: "floatData" },
  complex128: { code: 15, field: "doubleData" },
  bfloat16: { code: 16, field: "int32Data" },
  float8e4m3fn: { code: 17, field: "int32Data" },
  float8e4m3fnuz: { code: 18, field: "int32Data" },
  float8e5m2: { code: 19, field: "int32Data" },
  float8e5m2fnuz: { code: 20, field: "int32Data" },
  uint4: { code: 21, field: "int32Data" },
  int4: { code: 22, field: "int32Data" },
  float4e2m1: { code: 23, field: "int32Data" },
  float8e8m0: { code: 24, field: "int32Data" },
  uint2: { code: 25, field: "int32Data" },
  int2: { code: 26, field: "int32Data" },
  float6e2m3: { code: 27, field: "int32Data" },
  float6e3m2: { code: 28, field: "int32Data" },
} as const satisfies { readonly [D in DType]: { readonly code: number; readonly field: TypedField } };

const BY_CODE = new Map<number, DType>(
  Object.entries(ELEMENT_TYPES).map(([name, { code }]) => [code, name as DType] as const),
);

/** Element type by ONNX's number; undefined for 0, "not declared". */
export const dtypeOf = (code: number, where: string): DType | undefined =>
  code === 0
    ? undefined
    : (BY_CODE.get(code) ??
      fail("unsupported", `onnx: ${where} has element type ${code}; known are 1 to ${BY_CODE.size} (ONNX 1.23)`));
