/** TensorFlow.js: `--variant wasm` or `--variant cpu`. Its own layout is [batch, height, width, channels]. */
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import * as tf from "@tensorflow/tfjs";
import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import { contend, wish } from "./contender.js";
import { ADAM, BATCH, batches, oneHot, SIDE, weightsOf } from "./models.js";

const wasm = createRequire(import.meta.url).resolve("@tensorflow/tfjs-backend-wasm/package.json");
setWasmPaths(`${join(dirname(wasm), "dist")}/`);
tf.env().set("PROD", true);
await tf.setBackend(wish.variant);
await tf.ready();

/** PyTorch's layout to this one: also the rows of the first dense layer, which count channels last here. */
function toVariable({ name, shape, data }) {
  const plain = tf.tensor(data, shape);
  if (shape.length === 4) return tf.variable(tf.transpose(plain, [2, 3, 1, 0]));
  if (wish.model !== "cnn" || name !== "dense1.weight") return tf.variable(plain);
  const [inputs, outputs] = shape;
  const side = SIDE / 4;
  const parts = tf.reshape(plain, [inputs / (side * side), side, side, outputs]);
  return tf.variable(tf.reshape(tf.transpose(parts, [1, 2, 0, 3]), shape));
}

const weights = weightsOf(wish.model).map(toVariable);
const dense = (x, weight, bias) => tf.add(tf.matMul(x, weight), bias);
const conv = (x, weight, bias) => tf.maxPool(tf.relu(tf.add(tf.conv2d(x, weight, 1, "same"), bias)), 2, 2, "valid");

const NETS = {
  mlp: (x, [w1, b1, w2, b2, w3, b3]) => dense(tf.relu(dense(tf.relu(dense(x, w1, b1)), w2, b2)), w3, b3),
  cnn(x, [w1, b1, w2, b2, w3, b3, w4, b4]) {
    const features = conv(conv(x, w1, b1), w2, b2);
    return dense(tf.relu(dense(tf.reshape(features, [BATCH, -1]), w3, b3)), w4, b4);
  },
};

const shape = wish.model === "mlp" ? [BATCH, SIDE * SIDE] : [BATCH, SIDE, SIDE, 1];
const data = batches().map(({ images, labels }) => ({
  images: tf.tensor(images, shape),
  labels: tf.tensor(oneHot(labels), [BATCH, 10]),
}));
const optimizer = tf.train.adam(ADAM.rate, ADAM.beta1, ADAM.beta2, ADAM.epsilon);
const net = NETS[wish.model];

await contend((batch) => {
  const { images, labels } = data[batch];
  const cost = optimizer.minimize(() => tf.losses.softmaxCrossEntropy(labels, net(images, weights)), true, weights);
  const [loss] = cost.dataSync();
  cost.dispose();
  return loss;
});
