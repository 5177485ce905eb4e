/** What a graph tells about its images without a declared shape for each: how many channels, how many axes. */
import { producers } from "../ir/edit.ts";
import type { Graph } from "../ir/model.ts";
import type { PassContext } from "./pass.ts";
import { constantsIn, declared } from "./values.ts";

/** Batch, channels, rows, columns. */
export const IMAGE_RANK = 4;

/** An image-like value [batch, channels, ...]. */
export interface ImageShape {
  readonly channels: number;
  readonly rank: number;
}

/** Nodes between a value and the convolution that tells its channels. */
const MAX_STEPS = 16;

/** Ops that keep the number of channels. */
const PER_CHANNEL = new Set([
  "Relu",
  "Clip",
  "BatchNormalization",
  "MaxPool",
  "AveragePool",
  "Sigmoid",
  "LeakyRelu",
  "HardSwish",
]);

/** Shapes of image-like values: declared, seen in a run, or those of the convolution they come from, sums on the way or not. */
export function imageShapes(graph: Graph, { types }: PassContext): (name: string) => ImageShape | undefined {
  const info = declared(graph);
  const makers = producers(graph);
  const constant = constantsIn(graph);
  return (name) => {
    let summed = false;
    for (let at = name, steps = 0; steps < MAX_STEPS; steps++) {
      // a summand may be declared with fewer axes than the sum has
      const known = summed ? undefined : (info(at)?.shape ?? types?.get(at)?.shape);
      const maker = makers.get(at);
      const kernel = maker?.op === "Conv" ? constant(maker.inputs[1]!)?.shape : undefined;
      const channels = typeof known?.[1] === "number" ? known[1] : kernel?.[0];
      const rank = known?.length ?? kernel?.length;
      // one channel may be spread over those of the other summand
      if (channels !== undefined && rank !== undefined)
        return summed && channels === 1 ? undefined : { channels, rank };
      if (maker === undefined || maker.op === "Conv") return undefined;
      if (maker.op !== "Add" && !PER_CHANNEL.has(maker.op)) return undefined;
      summed ||= maker.op === "Add";
      at = maker.inputs[0]!;
    }
    return undefined;
  };
}
