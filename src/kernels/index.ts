/** The hot loops: in TypeScript, and in WebAssembly where that was measured to be faster. */
import { axisScales, encodeAxis } from "./axis.ts";
import { blockScales, encodeBlocks } from "./blocks.ts";
import { clippedScales } from "./clip.ts";
import { clippedScalesWasm, hasClipWasm } from "./clip-wasm.ts";
import { blockMagnitudes, encodeCodebook } from "./codebook.ts";

export const typescriptKernels = {
  blockScales,
  clippedScales,
  encodeBlocks,
  blockMagnitudes,
  encodeCodebook,
  axisScales,
  encodeAxis,
};

/** What every implementation of the kernels offers. */
export type Kernels = typeof typescriptKernels;

/** WebAssembly SIMD for the clip search, TypeScript for the rest, whose loops wait for memory. */
export const wasmKernels: Kernels = { ...typescriptKernels, clippedScales: clippedScalesWasm };

let fastest: Kernels | undefined;

/** The fastest kernels this runtime can run. */
export function fastestKernels(): Kernels {
  fastest ??= hasClipWasm() ? wasmKernels : typescriptKernels;
  return fastest;
}
