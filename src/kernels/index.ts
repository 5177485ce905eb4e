/** The hot loops in TypeScript, as one value that the contract suite takes. */
import { axisScales, encodeAxis } from "./axis.ts";
import { blockScales, encodeBlocks } from "./blocks.ts";
import { clippedScales } from "./clip.ts";
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
