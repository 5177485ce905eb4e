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

const unit = (name: string, layer: Layer): Layer => named(name, layer, batchNorm());

const plain = (name: string, channels: number, stride: number, kernel = 3): Layer =>
  sequential(unit(name, conv(channels, { kernel, stride, bias: false })), relu);

const block = (name: string, channels: number): Layer => {
  const inner = (part: string) => unit(`${name}.${part}`, conv(channels, { bias: false }));
  return sequential(residual(sequential(inner("a"), relu, inner("b"))), relu);
};

const separable = (name: string, channels: number): Layer =>
  sequential(
    unit(`${name}.depthwise`, depthwise({ stride: 2, bias: false })),
    relu,
    plain(`${name}.pointwise`, channels, 1, 1),
  );

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
