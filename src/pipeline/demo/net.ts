/** The demo's network: two residual blocks, two depthwise-separable ones, batch normalizations left in. */
import { valueInfo } from "../../ir/build.ts";
import {
  type Built,
  batchNorm,
  buildModel,
  conv,
  dense,
  depthwise,
  globalAveragePool,
  type Layer,
  named,
  relu,
  residual,
  sequential,
} from "../../train/layers/index.ts";
import { SIDE } from "./draw.ts";
import { CLASSES } from "./glyphs.ts";

const unit = (name: string, layer: Layer, ...behind: readonly Layer[]): Layer =>
  named(name, layer, batchNorm(), ...behind);

const plain = (name: string, channels: number, stride: number, kernel = 3): Layer =>
  unit(name, conv(channels, { kernel, stride, bias: false }), relu);

const block = (name: string, channels: number): Layer => {
  const inner = () => conv(channels, { bias: false });
  return named(name, residual(sequential(unit("a", inner(), relu), unit("b", inner()))), relu);
};

const separable = (name: string, channels: number): Layer => {
  const first = unit("depthwise", depthwise({ stride: 2, bias: false }), relu);
  return named(name, first, plain("pointwise", channels, 1, 1));
};

/** Input `image` float32 [batch, 1, 32, 32], output `logits` float32 [batch, 26]; weights drawn from `seed`. */
export const charactersNet = (seed: number): Built =>
  buildModel(
    {
      inputs: [valueInfo("image", "float32", ["batch", 1, SIDE, SIDE])],
      outputs: ["logits"],
      name: "characters",
      seed,
    },
    sequential(
      ...[plain("stem", 16, 1), plain("down", 32, 2), block("block1", 32), separable("separable1", 64)],
      ...[block("block2", 64), separable("separable2", 128), globalAveragePool, named("linear", dense(CLASSES.length))],
    ),
  );
