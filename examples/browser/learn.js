// @ts-check
/** Trains a small network from nothing. The same graph runs wherever the host's engine does: in Node and in a page. */
import { build, drawCharacters } from "fewbit";
import {
  adam,
  buildModel,
  conv,
  dense,
  flatten,
  maxPool,
  memoryData,
  relu,
  sequential,
  train,
  trainingStep,
  withLoss,
} from "fewbit/train";

const SAMPLES = 512;

/** Two convolutions and a dense layer for images of 26 letters. */
export function smallNet() {
  const { images } = drawCharacters({ seed: 1, count: 1 });
  const inputs = [build.valueInfo("image", "float32", ["batch", ...images.shape.slice(1)])];
  const layers = sequential(conv(8), relu, maxPool(), conv(16), relu, maxPool(), flatten, dense(26));
  return buildModel({ inputs, outputs: ["logits"], seed: 1 }, layers);
}

/**
 * Trains for twenty epochs and answers the loss of every step.
 * @param {import("fewbit/train").TrainHost} host
 */
export async function learn(host) {
  const { model, parameters } = smallNet();
  const { model: lossy, loss, target } = withLoss(model, { kind: "cross-entropy" });
  const step = trainingStep(lossy, { loss, parameters, optimizer: adam() });
  const { images, labels } = drawCharacters({ seed: 1, count: SAMPLES });
  const classes = { dtype: /** @type {const} */ ("int64"), shape: [SAMPLES], data: BigInt64Array.from(labels, BigInt) };
  const data = memoryData({ image: images, [target.name]: classes });
  const schedule = { kind: /** @type {const} */ ("cosine"), rate: 3e-3 };
  const { losses } = await train(host, { step, data, epochs: 20, batch: 64, schedule, seed: 1 });
  return losses;
}
