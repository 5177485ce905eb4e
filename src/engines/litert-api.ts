/**
 * The part of LiteRT's WebAssembly binding that fewbit uses. The JavaScript layer of `@litertjs/core` above it knows
 * three dtypes, lets runs fail in silence, and needs global variables; the binding itself has none of that.
 */
import type { FeedableDType } from "./feedable.ts";
import type { WasmModule } from "./wasm-api.ts";

/** The version of `@litertjs/core` that this code was written against: its binding promises nothing between versions. */
export const LITERT_VERSION = "2.5.3";

/** Name, without extension, of the build without relaxed SIMD: the same values on every machine and in Node 20. */
export const LITERT_FILE = "litert_wasm_compat_internal";

/** Something that lives in WebAssembly memory until it is deleted. */
export interface Deletable {
  delete(): void;
}

interface Vector extends Deletable {
  size(): number;
  get(index: number): number;
}

interface Layout extends Deletable {
  dimensions(): Vector;
}

export interface LitertTensorType extends Deletable {
  elementType(): { readonly value: number };
  layout(): Layout;
  bytes(): number;
}

export interface LitertBuffer extends Deletable {
  /** Address of the data, until `unlock`. */
  lock(mode: unknown): number;
  unlock(): void;
  tensorType(): LitertTensorType;
  packedSize(): number;
}

export interface LitertModel extends Deletable {
  getInputTensorType(signature: number, input: number): LitertTensorType;
}

export interface LitertCompiled extends Deletable {
  /** Prints an error, and answers buffers nevertheless, when it fails. */
  run(signature: number, inputs: readonly LitertBuffer[]): readonly LitertBuffer[];
}

/** A started WebAssembly machine. */
export interface LitertWasm {
  readonly HEAPU8: Uint8Array;
  /** 0 when there is no memory left. */
  _malloc(bytes: number): number;
  _free(address: number): void;
  readonly LiteRtEnvironment: { create(webGpuDevice: null): Deletable };
  loadModel(environment: Deletable, address: number, bytes: number): LitertModel;
  compileModel(environment: Deletable, model: LitertModel, options: object): LitertCompiled;
  readonly LiteRtTensorBuffer: {
    createManaged(environment: Deletable, memory: unknown, type: LitertTensorType, bytes: number): LitertBuffer;
  };
  readonly LiteRtTensorBufferType: { readonly HOST_MEMORY: unknown };
  readonly LiteRtTensorBufferLockMode: { readonly READ: unknown; readonly WRITE: unknown };
}

/** What the package's script makes: starts a machine. */
export type LitertFactory = (options: {
  readonly print: (line: string) => void;
  readonly printErr: (line: string) => void;
  readonly instantiateWasm: (imports: object, done: (instance: object, module: WasmModule) => void) => object;
}) => Promise<LitertWasm>;

/** The installed package, its WebAssembly compiled. */
export interface LitertPackage {
  readonly version: string;
  readonly factory: LitertFactory;
  readonly module: WasmModule;
}

/** Dtypes by LiteRT's number of the element type (`litert::ElementType`). */
export const ELEMENT_DTYPES: Readonly<Record<number, FeedableDType>> = {
  1: "float32",
  2: "int32",
  3: "uint8",
  4: "int64",
  6: "bool",
  7: "int16",
  9: "int8",
  10: "float16",
  11: "float64",
  13: "uint64",
  16: "uint32",
  17: "uint16",
};
