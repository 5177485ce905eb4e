/**
 * The nouns every container is read into. All of it is immutable: an edit makes new objects and shares the rest,
 * so `===` proves that something did not change, and writers copy unchanged parts from the file they came from.
 */
import type { TypedArray } from "../numeric/convert.ts";
import type { DType } from "../numeric/dtypes.ts";
import type { GivenGrid, Quantization } from "./scheme.ts";
import type { ByteSource } from "./source.ts";

/** Constant data. `data` holds raw little-endian bytes, sub-byte elements packed low bits first. */
export interface Tensor {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: ByteSource;
  /** Only for dtype `string`: the elements as UTF-8 bytes; `data` is empty then. */
  readonly strings?: readonly Uint8Array[];
  readonly doc?: string;
  /** The grid its values lie on, where a Q/DQ pair or codes said so. */
  readonly grid?: GivenGrid;
  /** What the codes stand for, in containers whose types carry that (TFLite). */
  readonly quantization?: Quantization;
  /** Fields of the container that fewbit has no noun for, kept for writing. */
  readonly extra?: unknown;
}

/** A dimension is a length, a symbol ("batch"), or unknown (null). */
export type Dim = number | string | null;

/** Type of a graph value. `shape` undefined = unknown rank; `dtype` undefined = not a plain tensor or not declared. */
export interface ValueInfo {
  readonly name: string;
  readonly dtype?: DType;
  readonly shape?: readonly Dim[];
  /** What the codes stand for, in containers whose types carry that (TFLite). */
  readonly quantization?: Quantization;
  readonly doc?: string;
  readonly extra?: unknown;
}

/** Integers are numbers where exact, bigints beyond 2^53. */
export type Attribute =
  | { readonly type: "float"; readonly value: number }
  | { readonly type: "int"; readonly value: number | bigint }
  | { readonly type: "string"; readonly value: Uint8Array }
  | { readonly type: "tensor"; readonly value: Tensor }
  | { readonly type: "graph"; readonly value: Graph }
  | { readonly type: "floats"; readonly value: readonly number[] }
  | { readonly type: "ints"; readonly value: readonly (number | bigint)[] }
  | { readonly type: "strings"; readonly value: readonly Uint8Array[] }
  | { readonly type: "tensors"; readonly value: readonly Tensor[] }
  | { readonly type: "graphs"; readonly value: readonly Graph[] }
  /** Anything else the container allows (sparse tensors, type protos, references inside functions), kept as it is. */
  | { readonly type: "opaque"; readonly value: unknown };

/** One operation. An empty string in `inputs` or `outputs` is an omitted optional value. */
export interface Node {
  readonly name: string;
  readonly op: string;
  /** "" is the default ONNX domain ("ai.onnx" is read as "") and TFLite's builtin ops; "custom" are TFLite's custom ops. */
  readonly domain: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, Attribute>>;
  readonly doc?: string;
  readonly extra?: unknown;
}

/** Nodes with the values that go in and out, and the constants they read. */
export interface Graph {
  readonly name: string;
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  /** In topological order. */
  readonly nodes: readonly Node[];
  /** Initializers by name, in file order. */
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** Declared types of inner values (value_info). */
  readonly values: ReadonlyMap<string, ValueInfo>;
  /** Names of constants that fewbit has no noun for (ONNX sparse initializers); their data is in `extra`. */
  readonly opaque?: readonly string[];
  /** Grids of computed values by name, where the model came with Q/DQ pairs. */
  readonly grids?: ReadonlyMap<string, GivenGrid>;
  readonly doc?: string;
  readonly extra?: unknown;
}

/** A model-local function (ONNX FunctionProto). */
export interface FunctionDef {
  readonly name: string;
  readonly domain: string;
  readonly overload?: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly nodes: readonly Node[];
  readonly opsets: Readonly<Record<string, number>>;
  readonly extra?: unknown;
}

/** File formats that hold a graph. */
export type GraphContainer = "onnx" | "tflite";

/** File formats by name. */
export type ContainerName = GraphContainer | "gguf" | "safetensors";

/** One model, whatever file it came from. */
export interface Model {
  readonly container: GraphContainer;
  readonly graph: Graph;
  /** Operator set versions by domain; "" is the default domain. */
  readonly opsets: Readonly<Record<string, number>>;
  readonly functions: readonly FunctionDef[];
  readonly metadata: Readonly<Record<string, string>>;
  /** Version of the container format itself (ONNX ir_version). */
  readonly formatVersion: number;
  readonly producer?: { readonly name: string; readonly version: string };
  readonly extra?: unknown;
}

export type { TypedArray } from "../numeric/convert.ts";

/** Data that flows through a model: inputs, outputs, samples. float16 and bfloat16 travel as their bits in a Uint16Array, bool as 0/1. */
export interface NDArray {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: TypedArray;
}

/** Arrays that hold elements; those of less than a byte stay packed in a Uint8Array. */
/** Values by input or output name. */
export type Feeds = Readonly<Record<string, NDArray>>;
