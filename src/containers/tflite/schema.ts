/** Tables and unions of the TFLite schema, version 3, as data: fields by name, in slot order; a union takes two slots. */

import type { ByteSource } from "../../ir/source.ts";
import { ENUMS } from "./schema-enums.ts";
import { OPTIONS } from "./schema-options.ts";
import { type EnumName, SCALARS, type Scalar } from "./schema-types.ts";

/** `data` is a vector of bytes that is only fetched when asked for. Facts: schema.fbs of LiteRT, August 2026. */
export const TABLES = {
  CustomQuantization: { custom: "[ubyte]" },
  BlockwiseQuantization: { scales: "int", zero_points: "int", block_size: "int" },
  MultiAxisQuantization: { scales: "int", zero_points: "int", block_size: "int", quantized_dimensions: "[int]" },
  QuantizationParameters: {
    min: "[float]",
    max: "[float]",
    scale: "[float]",
    zero_point: "[long]",
    details: "QuantizationDetails",
    quantized_dimension: "int",
  },
  Int32Vector: { values: "[int]" },
  Uint16Vector: { values: "[ushort]" },
  Uint8Vector: { values: "[ubyte]" },
  DimensionMetadata: {
    format: "DimensionType",
    dense_size: "int",
    array_segments: "SparseIndexVector",
    array_indices: "SparseIndexVector",
  },
  SparsityParameters: { traversal_order: "[int]", block_map: "[int]", dim_metadata: "[DimensionMetadata]" },
  VariantSubType: { shape: "[int]", type: "TensorType", has_rank: "bool" },
  Tensor: {
    shape: "[int]",
    type: "TensorType",
    buffer: "uint",
    name: "string",
    quantization: "QuantizationParameters",
    is_variable: "bool",
    sparsity: "SparsityParameters",
    shape_signature: "[int]",
    has_rank: "bool",
    variant_tensors: "[VariantSubType]",
    external_buffer: "uint",
  },
  OperatorCode: { deprecated_builtin_code: "byte", custom_code: "string", version: "int", builtin_code: "int" },
  Operator: {
    opcode_index: "uint",
    inputs: "[int]",
    outputs: "[int]",
    builtin_options: "BuiltinOptions",
    custom_options: "[ubyte]",
    custom_options_format: "CustomOptionsFormat",
    mutating_variable_inputs: "[bool]",
    intermediates: "[int]",
    large_custom_options_offset: "ulong",
    large_custom_options_size: "ulong",
    builtin_options_2: "BuiltinOptions2",
    debug_metadata_index: "int",
  },
  SubGraph: {
    tensors: "[Tensor]",
    inputs: "[int]",
    outputs: "[int]",
    operators: "[Operator]",
    name: "string",
    debug_metadata_index: "int",
  },
  Buffer: { data: "data", offset: "ulong", size: "ulong" },
  ExternalBufferGroup: { name: "string" },
  ExternalBuffer: { id: "uint", group: "uint", offset: "ulong", length: "ulong", packing: "string" },
  Metadata: { name: "string", buffer: "uint" },
  TensorMap: { name: "string", tensor_index: "uint" },
  SignatureDef: {
    inputs: "[TensorMap]",
    outputs: "[TensorMap]",
    signature_key: "string",
    deprecated_tag: "string",
    subgraph_index: "uint",
  },
  Model: {
    version: "uint",
    operator_codes: "[OperatorCode]",
    subgraphs: "[SubGraph]",
    description: "string",
    buffers: "[Buffer]",
    metadata_buffer: "[int]",
    metadata: "[Metadata]",
    signature_defs: "[SignatureDef]",
    external_buffer_groups: "[ExternalBufferGroup]",
    external_buffers: "[ExternalBuffer]",
  },
  ...OPTIONS,
} as const satisfies Record<string, Readonly<Record<string, string>>>;

/** Members of unions; the first has number 1, 0 stands for none. */
export const UNIONS = {
  QuantizationDetails: ["CustomQuantization", "BlockwiseQuantization", "MultiAxisQuantization"],
  SparseIndexVector: ["Int32Vector", "Uint16Vector", "Uint8Vector"],
  BuiltinOptions: [
    "Conv2DOptions",
    "DepthwiseConv2DOptions",
    "ConcatEmbeddingsOptions",
    "LSHProjectionOptions",
    "Pool2DOptions",
    "SVDFOptions",
    "RNNOptions",
    "FullyConnectedOptions",
    "SoftmaxOptions",
    "ConcatenationOptions",
    "AddOptions",
    "L2NormOptions",
    "LocalResponseNormalizationOptions",
    "LSTMOptions",
    "ResizeBilinearOptions",
    "CallOptions",
    "ReshapeOptions",
    "SkipGramOptions",
    "SpaceToDepthOptions",
    "EmbeddingLookupSparseOptions",
    "MulOptions",
    "PadOptions",
    "GatherOptions",
    "BatchToSpaceNDOptions",
    "SpaceToBatchNDOptions",
    "TransposeOptions",
    "ReducerOptions",
    "SubOptions",
    "DivOptions",
    "SqueezeOptions",
    "SequenceRNNOptions",
    "StridedSliceOptions",
    "ExpOptions",
    "TopKV2Options",
    "SplitOptions",
    "LogSoftmaxOptions",
    "CastOptions",
    "DequantizeOptions",
    "MaximumMinimumOptions",
    "ArgMaxOptions",
    "LessOptions",
    "NegOptions",
    "PadV2Options",
    "GreaterOptions",
    "GreaterEqualOptions",
    "LessEqualOptions",
    "SelectOptions",
    "SliceOptions",
    "TransposeConvOptions",
    "SparseToDenseOptions",
    "TileOptions",
    "ExpandDimsOptions",
    "EqualOptions",
    "NotEqualOptions",
    "ShapeOptions",
    "PowOptions",
    "ArgMinOptions",
    "FakeQuantOptions",
    "PackOptions",
    "LogicalOrOptions",
    "OneHotOptions",
    "LogicalAndOptions",
    "LogicalNotOptions",
    "UnpackOptions",
    "FloorDivOptions",
    "SquareOptions",
    "ZerosLikeOptions",
    "FillOptions",
    "BidirectionalSequenceLSTMOptions",
    "BidirectionalSequenceRNNOptions",
    "UnidirectionalSequenceLSTMOptions",
    "FloorModOptions",
    "RangeOptions",
    "ResizeNearestNeighborOptions",
    "LeakyReluOptions",
    "SquaredDifferenceOptions",
    "MirrorPadOptions",
    "AbsOptions",
    "SplitVOptions",
    "UniqueOptions",
    "ReverseV2Options",
    "AddNOptions",
    "GatherNdOptions",
    "CosOptions",
    "WhereOptions",
    "RankOptions",
    "ReverseSequenceOptions",
    "MatrixDiagOptions",
    "QuantizeOptions",
    "MatrixSetDiagOptions",
    "HardSwishOptions",
    "IfOptions",
    "WhileOptions",
    "DepthToSpaceOptions",
    "NonMaxSuppressionV4Options",
    "NonMaxSuppressionV5Options",
    "ScatterNdOptions",
    "SelectV2Options",
    "DensifyOptions",
    "SegmentSumOptions",
    "BatchMatMulOptions",
    "CumsumOptions",
    "CallOnceOptions",
    "BroadcastToOptions",
    "Rfft2dOptions",
    "Conv3DOptions",
    "HashtableOptions",
    "HashtableFindOptions",
    "HashtableImportOptions",
    "HashtableSizeOptions",
    "VarHandleOptions",
    "ReadVariableOptions",
    "AssignVariableOptions",
    "RandomOptions",
    "BucketizeOptions",
    "GeluOptions",
    "DynamicUpdateSliceOptions",
    "UnsortedSegmentProdOptions",
    "UnsortedSegmentMaxOptions",
    "UnsortedSegmentMinOptions",
    "UnsortedSegmentSumOptions",
    "ATan2Options",
    "SignOptions",
    "BitcastOptions",
    "BitwiseXorOptions",
    "RightShiftOptions",
  ],
  BuiltinOptions2: [
    "StablehloConcatenateOptions",
    "StablehloBroadcastInDimOptions",
    "StablehloSliceOptions",
    "StablehloConvolutionOptions",
    "StablehloCustomCallOptions",
    "StablehloReduceOptions",
    "StablehloScatterOptions",
    "StablehloCompareOptions",
    "StablehloDynamicSliceOptions",
    "StablehloPadOptions",
    "StablehloIotaOptions",
    "StablehloDotGeneralOptions",
    "StablehloReduceWindowOptions",
    "StablehloSortOptions",
    "StablehloWhileOptions",
    "StablehloGatherOptions",
    "StablehloTransposeOptions",
    "DilateOptions",
    "StablehloRngBitGeneratorOptions",
    "ReduceWindowOptions",
    "StableHLOCompositeOptions",
    "StablehloShiftLeftOptions",
    "StablehloCaseOptions",
  ],
} as const satisfies Record<string, readonly string[]>;

/** Tables by name. */
export type TableName = keyof typeof TABLES;
/** Unions by name. */
export type UnionName = keyof typeof UNIONS;
/** Tables of options by name. */
export type OptionsName = keyof typeof OPTIONS;

/** What reading gives for each type of field; 64-bit integers are numbers where exact. */
type ValueOf<T> = T extends "[ubyte]"
  ? Uint8Array
  : T extends `[${infer E}]`
    ? readonly ValueOf<E>[]
    : T extends "bool"
      ? boolean
      : T extends "long" | "ulong"
        ? number | bigint
        : T extends Scalar | EnumName
          ? number
          : T extends "string"
            ? string
            : T extends "data"
              ? ByteSource
              : T extends TableName
                ? Table<T>
                : T extends UnionName
                  ? UnionValue
                  : never;

/** A table as a plain object: fields that are absent in the file are absent here. */
export type Table<N extends TableName> = {
  readonly [K in keyof (typeof TABLES)[N]]?: ValueOf<(typeof TABLES)[N][K]>;
};

/** A table of any kind. */
export type AnyTable = Readonly<Record<string, unknown>>;

/** A union field: the member's name and its table; "NONE" has no table. */
export interface UnionValue {
  readonly type: TableName | "NONE";
  readonly value?: AnyTable;
}

/** How a field is stored. `bytes` is a vector of bytes in memory, `data` one that is fetched when asked for. */
export type Kind =
  | { readonly is: "scalar"; readonly of: Scalar }
  | { readonly is: "string" | "data" | "bytes" }
  | { readonly is: "table"; readonly of: TableName }
  | { readonly is: "union"; readonly of: UnionName }
  | { readonly is: "scalars"; readonly of: Scalar }
  | { readonly is: "tables"; readonly of: TableName };

/** One field: its name, its first slot in the vtable, and how it is stored. */
export interface Row {
  readonly key: string;
  readonly slot: number;
  readonly kind: Kind;
}

const scalarOf = (type: string): Scalar | undefined =>
  type in SCALARS ? (type as Scalar) : type in ENUMS ? ENUMS[type as EnumName].of : undefined;

function kindOf(type: string): Kind {
  const element = /^\[(\w+)\]$/.exec(type)?.[1];
  const scalar = scalarOf(element ?? type);
  if (element === "ubyte") return { is: "bytes" };
  if (scalar !== undefined) return { is: element === undefined ? "scalar" : "scalars", of: scalar };
  if (type === "string" || type === "data") return { is: type };
  if (type in UNIONS) return { is: "union", of: type as UnionName };
  const of = (element ?? type) as TableName;
  return element === undefined ? { is: "table", of } : { is: "tables", of };
}

function rowsOf(fields: Readonly<Record<string, string>>): readonly Row[] {
  let slot = 0;
  return Object.entries(fields).map(([key, type]) => {
    const row = { key, slot, kind: kindOf(type) };
    slot += row.kind.is === "union" ? 2 : 1;
    return row;
  });
}

/** Rows of every table, in slot order. */
export const ROWS = Object.fromEntries(
  Object.entries(TABLES).map(([name, fields]) => [name, rowsOf(fields)]),
) as unknown as Readonly<Record<TableName, readonly Row[]>>;

/** Slots of a table in a vtable. */
export const slotsOf = (name: TableName): number => {
  const last = ROWS[name].at(-1);
  return last === undefined ? 0 : last.slot + (last.kind.is === "union" ? 2 : 1);
};
