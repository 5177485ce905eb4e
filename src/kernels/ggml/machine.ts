/** The WebAssembly program of `assembly/`: its exports, its memory, its instances. */
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
  readonly Instance: new (module: object) => { readonly exports: Program };
  validate(bytes: Uint8Array<ArrayBuffer>): boolean;
};

/** Exports of `assembly/index.ts`; `weights` is 0 where there are none. */
export interface Program {
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number };
  encodeBytes(src: number, dst: number, blocks: number): void;
  encodeSigned(src: number, dst: number, blocks: number, bits: number): void;
  encodeAffine(src: number, dst: number, blocks: number, bits: number): void;
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
  encodeMxfp4(src: number, dst: number, blocks: number): void;
  encodeNvfp4(src: number, dst: number, blocks: number): void;
  trySplitsS(sums: number): number;
  trySplitsM(sums: number): number;
  setTables(coordinates: number, bits: number, levels: number, places: number, lists: number): void;
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

const programBytes = (): Uint8Array<ArrayBuffer> => Uint8Array.from(atob(PROGRAM), (letter) => letter.charCodeAt(0));

let compiled: object | undefined;

/** A machine of its own, with room for so many bytes behind `TABLES_AT`. */
export function startMachine(tableBytes = 0): Machine {
  compiled ??= new WebAssembly.Module(programBytes());
  const program = new WebAssembly.Instance(compiled).exports;
  if (tableBytes > 0) program.memory.grow(Math.ceil(tableBytes / 65536));
  const { buffer } = program.memory;
  return {
    program,
    values: new Float32Array(buffer, VALUES_AT, CHUNK),
    weights: new Float32Array(buffer, WEIGHTS_AT, CHUNK),
    bytes: new Uint8Array(buffer, BYTES_AT, MAX_BYTES),
  };
}

/** False where the runtime has no WebAssembly SIMD. */
export const hasGgmlWasm = (): boolean => typeof WebAssembly === "object" && WebAssembly.validate(programBytes());

let shared: Machine | undefined;

/** The machine that all formats without tables share. */
export function machine(): Machine {
  shared ??= startMachine();
  return shared;
}
