/** The WebAssembly program of `assembly/`: its exports, its memory, its instances. */
import { base64Bytes } from "../../numeric/base64.ts";
import { PROGRAM } from "./program.ts";

/** Values of one call: what fits into the second-level cache with its weights. */
export const CHUNK = 16384;
/** Where values lie; below is the program's own scratch. */
export const VALUES_AT = 65536;
/** Where their weights lie. */
export const WEIGHTS_AT = VALUES_AT + 4 * CHUNK;
/** Where blocks are written. */
export const BYTES_AT = WEIGHTS_AT + 4 * CHUNK;
/** f32 itself; every format takes less. */
const MAX_BYTES = 4 * CHUNK;
/** Where tables lie that the caller adds. */
export const TABLES_AT = BYTES_AT + MAX_BYTES;

/** What is used of the runtime's global object, which the compiler's libraries for Node do not declare. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array<ArrayBuffer>) => object;
  readonly Memory: new (size: { readonly initial: number }) => object;
  readonly Instance: new (
    module: object,
    imports: { readonly env: { readonly memory: object } },
  ) => { readonly exports: Program };
};

/** Exports of `assembly/index.ts`; `weights` is 0 where there are none. */
export interface Program {
  readonly memory: { readonly buffer: ArrayBuffer };
  encodeHalf(src: number, dst: number, count: number): number;
  encodeBfloat(src: number, dst: number, count: number): number;
  decodeBytes(src: number, dst: number, blocks: number): void;
  decodeIq4Nl(src: number, dst: number, blocks: number): void;
  decodeIq4Xs(src: number, dst: number, blocks: number): void;
  decodeMxfp4(src: number, dst: number, blocks: number): void;
  decodeNvfp4(src: number, dst: number, blocks: number): void;
  decodeQ1(src: number, dst: number, blocks: number): void;
  decodeQ2(src: number, dst: number, blocks: number): void;
  decodeTq1(src: number, dst: number, blocks: number): void;
  decodeTq2(src: number, dst: number, blocks: number): void;
  decodeQ2K(src: number, dst: number, blocks: number): void;
  decodeQ3K(src: number, dst: number, blocks: number): void;
  decodeQ4K(src: number, dst: number, blocks: number): void;
  decodeQ5K(src: number, dst: number, blocks: number): void;
  decodeQ6K(src: number, dst: number, blocks: number): void;
  decodeSigned(src: number, dst: number, blocks: number, bits: number): void;
  decodeAffine(src: number, dst: number, blocks: number, bits: number): void;
  decodeHalf(src: number, dst: number, count: number): void;
  decodeBfloat(src: number, dst: number, count: number): void;
  sumWords(src: number, bytes: number, dst: number): void;
  sumDifferences(values: number, back: number, count: number, dst: number): void;
  firstBadFloat(src: number, count: number): number;
  firstBadHalf(src: number, count: number, exponent: number): number;
  encodeQ1(src: number, dst: number, blocks: number): number;
  encodeQ2(src: number, dst: number, blocks: number): number;
  encodeTq1(src: number, dst: number, blocks: number): number;
  encodeTq2(src: number, dst: number, blocks: number): number;
  encodeBytes(src: number, dst: number, blocks: number): number;
  encodeSigned(src: number, dst: number, blocks: number, bits: number): number;
  encodeAffine(src: number, dst: number, blocks: number, bits: number): number;
  encodeWeighted(
    src: number,
    dst: number,
    blocks: number,
    weights: number,
    sigma2: number,
    bits: number,
    affine: number,
  ): void;
  encodeK(src: number, dst: number, blocks: number, weights: number, kind: number): void;
  encodeIq4Nl(src: number, dst: number, blocks: number, weights: number): void;
  encodeIq4Xs(src: number, dst: number, blocks: number, weights: number): void;
  encodeMxfp4(src: number, dst: number, blocks: number): number;
  encodeNvfp4(src: number, dst: number, blocks: number): number;
  encodeIq1(src: number, dst: number, blocks: number, weights: number, isM: number): number;
  setTables(places: number, lists: number, coordinates: number, longest: number): void;
  setSearch(
    sub: number,
    top: number,
    evenSigns: number,
    epsilon: number,
    steps: number,
    step: number,
    refine: number,
    searchesMaximum: number,
  ): void;
  searchSuper(src: number, weights: number, sigmaFactor: number, raisesSquares: number): number;
}

/** One instance and what of its memory the caller writes and reads. */
export interface Machine {
  readonly program: Program;
  readonly values: Float32Array;
  readonly weights: Float32Array;
  readonly bytes: Uint8Array;
}

let compiled: object | undefined;

/** Decoded and compiled once; that of a runtime without SIMD throws. */
function compile(): object {
  compiled ??= new WebAssembly.Module(base64Bytes(PROGRAM));
  return compiled;
}

const PAGE_BYTES = 65536;

/**
 * A machine of its own, with room for so many bytes behind `TABLES_AT`. Its memory is made as large as it will be: after
 * one has grown, V8 looks at every array twice, in all of the thread.
 */
export function startMachine(tableBytes = 0): Machine {
  const memory = new WebAssembly.Memory({ initial: Math.ceil((TABLES_AT + tableBytes) / PAGE_BYTES) });
  const program = new WebAssembly.Instance(compile(), { env: { memory } }).exports;
  const { buffer } = program.memory;
  return {
    program,
    values: new Float32Array(buffer, VALUES_AT, CHUNK),
    weights: new Float32Array(buffer, WEIGHTS_AT, CHUNK),
    bytes: new Uint8Array(buffer, BYTES_AT, MAX_BYTES),
  };
}

function isCompiled(): boolean {
  try {
    return typeof WebAssembly === "object" && compile() !== undefined;
  } catch {
    return false;
  }
}

let runs: boolean | undefined;

/** False where the runtime has no WebAssembly SIMD. */
export function hasGgmlWasm(): boolean {
  runs ??= isCompiled();
  return runs;
}

let shared: Machine | undefined;

/** The machine that all formats without tables share. */
export function machine(): Machine {
  shared ??= startMachine();
  return shared;
}

/** Whether bytes lie in the memory of the shared machine. */
export const isInMachine = ({ buffer }: Uint8Array): boolean => shared?.bytes.buffer === buffer;

/** Arrays in the memory of the shared machine: what lies there is encoded and decoded without being copied. */
export interface GgmlBuffers {
  /** Bytes of a source that is not float32. */
  readonly input: Uint8Array<ArrayBuffer>;
  /** Values; the bytes of a float32 source can be read right into them. */
  readonly values: Float32Array<ArrayBuffer>;
  /** Blocks. */
  readonly output: Uint8Array<ArrayBuffer>;
}

const buffersOn = (memory: ArrayBuffer, at: number, values: number): GgmlBuffers => ({
  input: new Uint8Array(memory, at, 4 * values),
  values: new Float32Array(memory, at + 4 * values, values),
  output: new Uint8Array(memory, at + 8 * values, 4 * values),
});

let buffers: GgmlBuffers | undefined;

/**
 * Room for so many values, the same on every call; asking for more than ever before makes new arrays, and what lies in
 * those handed out before is copied from then on. Plain arrays where the runtime has no WebAssembly SIMD.
 */
export function ggmlBuffers(values: number): GgmlBuffers {
  if (buffers !== undefined && buffers.values.length >= values) return buffers;
  if (hasGgmlWasm()) {
    shared = startMachine(12 * values);
    buffers = buffersOn(shared.program.memory.buffer, TABLES_AT, values);
  } else buffers = buffersOn(new ArrayBuffer(12 * values), 0, values);
  return buffers;
}
