/** jax-js on WebAssembly: forward, backward and Adam in one compiled function. */
if (globalThis.navigator === undefined) globalThis.navigator = { hardwareConcurrency: 1, userAgent: "" };
const { defaultDevice, init, jit, lax, nn, numpy: np, tree, valueAndGrad } = await import("@jax-js/jax");
const { contend, wish } = await import("./contender.js");
const { ADAM, BATCH, batches, CLASSES, oneHot, SIDE, weightsOf } = await import("./models.js");

await init("wasm");
defaultDevice("wasm");

const dense = (x, weight, bias) => np.matmul(x, weight).add(bias);

/** Convolution, Relu, the largest of each 2x2. */
function conv(x, weight, bias) {
  const [channels] = weight.shape;
  const y = nn.relu(lax.conv(x, weight, [1, 1], "SAME").add(bias.reshape([channels, 1, 1])));
  const [, , height, width] = y.shape;
  return np.max(y.reshape([BATCH, channels, height / 2, 2, width / 2, 2]), [3, 5]);
}

const NETS = {
  mlp: (x, [w1, b1, w2, b2, w3, b3]) => dense(nn.relu(dense(nn.relu(dense(x, w1, b1)), w2, b2)), w3, b3),
  cnn(x, [w1, b1, w2, b2, w3, b3, w4, b4]) {
    const features = conv(conv(x, w1, b1), w2, b2);
    return dense(nn.relu(dense(features.reshape([BATCH, -1]), w3, b3)), w4, b4);
  },
};

const lossOf = (weights, x, labels) =>
  nn
    .logSoftmax(NETS[wish.model](x, weights), -1)
    .mul(labels)
    .sum()
    .mul(-1 / BATCH);

/** Bias corrections come in as scalars, so that the function is compiled once. */
function update(weight, grad, m, v, correction1, correction2) {
  const first = m.mul(ADAM.beta1).add(grad.ref.mul(1 - ADAM.beta1));
  const second = v.mul(ADAM.beta2).add(np.square(grad).mul(1 - ADAM.beta2));
  const change = first.ref.mul(correction1).div(np.sqrt(second.ref.mul(correction2)).add(ADAM.epsilon));
  return [weight.sub(change.mul(ADAM.rate)), first, second];
}

const step = jit((weights, ms, vs, x, labels, correction1, correction2) => {
  const [loss, grads] = valueAndGrad(lossOf)(tree.ref(weights), x, labels);
  const updated = weights.map((weight, at) =>
    update(weight, grads[at], ms[at], vs[at], correction1.ref, correction2.ref),
  );
  tree.dispose([correction1, correction2]);
  return [loss, updated.map(([weight]) => weight), updated.map(([, m]) => m), updated.map(([, , v]) => v)];
});

let weights = weightsOf(wish.model).map(({ shape, data }) => np.array(data).reshape(shape));
let [ms, vs] = [0, 0].map(() => weights.map(({ shape }) => np.zeros(shape)));
const shape = wish.model === "mlp" ? [BATCH, SIDE * SIDE] : [BATCH, 1, SIDE, SIDE];
const data = batches().map(({ images, labels }) => ({
  images: np.array(images).reshape(shape),
  labels: np.array(oneHot(labels)).reshape([BATCH, CLASSES]),
}));

let t = 0;
await contend(async (batch) => {
  t++;
  const { images, labels } = data[batch];
  const [correction1, correction2] = [ADAM.beta1, ADAM.beta2].map((beta) => np.array([1 / (1 - beta ** t)]));
  let loss;
  [loss, weights, ms, vs] = step(weights, ms, vs, images.ref, labels.ref, correction1, correction2);
  return (await loss.data())[0];
});
