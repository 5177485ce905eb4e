/** Enumerations of the TFLite schema, version 3: names in the order of their numbers, and the scalar each is stored in. */

interface EnumRow {
  readonly of: "byte" | "int" | "uint";
  readonly names: readonly string[];
}

/** The number of a name is its place in the list. Facts: schema.fbs of LiteRT, August 2026. */
export const ENUMS = {
  TensorType: {
    of: "byte",
    names: [
      "FLOAT32",
      "FLOAT16",
      "INT32",
      "UINT8",
      "INT64",
      "STRING",
      "BOOL",
      "INT16",
      "COMPLEX64",
      "INT8",
      "FLOAT64",
      "COMPLEX128",
      "UINT64",
      "RESOURCE",
      "VARIANT",
      "UINT32",
      "UINT16",
      "INT4",
      "BFLOAT16",
      "INT2",
      "UINT4",
      "FLOAT8_E4M3FN",
      "FLOAT8_E5M2",
    ],
  },
  DimensionType: { of: "byte", names: ["DENSE", "SPARSE_CSR"] },
  StablehloPrecisionConfig: { of: "uint", names: ["DEFAULT", "HIGH", "HIGHEST"] },
  StablehloComparisonDirection: {
    of: "uint",
    names: [
      "STABLEHLO_COMPARISON_DIRECTION_EQ",
      "STABLEHLO_COMPARISON_DIRECTION_NE",
      "STABLEHLO_COMPARISON_DIRECTION_GE",
      "STABLEHLO_COMPARISON_DIRECTION_GT",
      "STABLEHLO_COMPARISON_DIRECTION_LE",
      "STABLEHLO_COMPARISON_DIRECTION_LT",
    ],
  },
  StablehloComparisonType: {
    of: "uint",
    names: [
      "STABLEHLO_COMPARISON_TYPE_NOTYPE",
      "STABLEHLO_COMPARISON_TYPE_FLOAT",
      "STABLEHLO_COMPARISON_TYPE_FLOAT_TOTAL_ORDER",
      "STABLEHLO_COMPARISON_TYPE_SIGNED",
      "STABLEHLO_COMPARISON_TYPE_UNSIGNED",
    ],
  },
  RngAlgorithm: { of: "byte", names: ["DEFAULT", "PHILOX", "THREEFRY"] },
  Padding: { of: "byte", names: ["SAME", "VALID"] },
  ActivationFunctionType: { of: "byte", names: ["NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH", "SIGN_BIT"] },
  LSHProjectionType: { of: "byte", names: ["UNKNOWN", "SPARSE", "DENSE"] },
  FullyConnectedOptionsWeightsFormat: { of: "byte", names: ["DEFAULT", "SHUFFLED4x16INT8"] },
  LSTMKernelType: { of: "byte", names: ["FULL", "BASIC"] },
  CombinerType: { of: "byte", names: ["SUM", "MEAN", "SQRTN"] },
  MirrorPadMode: { of: "byte", names: ["REFLECT", "SYMMETRIC"] },
  ReduceWindowFunction: { of: "int", names: ["UNSUPPORTED", "ADD", "MUL", "MINIMUM", "MAXIMUM", "ALL", "ANY"] },
  CustomOptionsFormat: { of: "byte", names: ["FLEXBUFFERS"] },
} as const satisfies Record<string, EnumRow>;
