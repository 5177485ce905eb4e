/** All algorithms, one row each. */
import { blockScales } from "../kernels/blocks.ts";
import { fastestKernels } from "../kernels/index.ts";
import { fail } from "../numeric/errors.ts";
import type { AlgorithmRow } from "./algorithm.ts";
import { quantizeChannels } from "./channels.ts";
import { quantizeCodebook } from "./codebooks.ts";
import { quantizeGroups } from "./groups.ts";

/** The table of algorithms, by the names that --algorithm takes. */
export const ALGORITHMS: readonly AlgorithmRow[] = [
  {
    name: "rtn",
    summary: "round to nearest on the grid that covers each group: fast, no data",
    quantize: (weights, scheme) =>
      scheme.granularity.per === "group"
        ? quantizeGroups(weights, scheme, blockScales)
        : quantizeChannels(weights, scheme, "rtn"),
  },
  {
    name: "mse",
    summary: "round to nearest on the clipped grid with the least squared error per group or channel: slower, no data",
    quantize: (weights, scheme) =>
      scheme.granularity.per === "group"
        ? quantizeGroups(weights, scheme, fastestKernels().clippedScales)
        : quantizeChannels(weights, scheme, "mse"),
  },
  {
    name: "nf4",
    summary: "nearest entry of the NormalFloat table (QLoRA), scaled per group",
    quantize: (weights, scheme) => quantizeCodebook(weights, scheme, "nf4"),
  },
  {
    name: "fp4",
    summary: "nearest entry of bitsandbytes' 4-bit float table, scaled per group",
    quantize: (weights, scheme) => quantizeCodebook(weights, scheme, "fp4"),
  },
];

/** The algorithm of that name; an unknown one is refused with the list of those there are. */
export const algorithmNamed = (name: string): AlgorithmRow =>
  ALGORITHMS.find((row) => row.name === name) ??
  fail("usage", `unknown algorithm "${name}"; known are ${ALGORITHMS.map((row) => row.name).join(", ")}`);
