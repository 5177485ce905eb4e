/**
 * The two networks and the numbers they start from. Every contender starts from the same weights and sees the same
 * batches, so its loss says whether it does the same work. Layouts are PyTorch's: dense [in, out] transposed by those who
 * need it otherwise, convolutions [out, in, height, width], images [batch, 1, 28, 28].
 */

export const BATCH = 64;
export const BATCHES = 8;
export const CLASSES = 10;
export const SIDE = 28;
export const ADAM = { rate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };

const dense = (name, inputs, outputs) => [
  { name: `${name}.weight`, shape: [inputs, outputs], fan: inputs },
  { name: `${name}.bias`, shape: [outputs], fan: inputs },
];
const conv = (name, inputs, outputs, kernel) => [
  { name: `${name}.weight`, shape: [outputs, inputs, kernel, kernel], fan: inputs * kernel * kernel },
  { name: `${name}.bias`, shape: [outputs], fan: inputs * kernel * kernel },
];

/** Parameters in order. Between them are a Relu and, behind each convolution, a 2x2 max pooling. */
export const MODELS = {
  mlp: [...dense("dense1", 784, 256), ...dense("dense2", 256, 128), ...dense("dense3", 128, CLASSES)],
  cnn: [
    ...conv("conv1", 1, 16, 3),
    ...conv("conv2", 16, 32, 3),
    ...dense("dense1", 1568, 64),
    ...dense("dense2", 64, CLASSES),
  ],
};

export const product = (lengths) => lengths.reduce((all, length) => all * length, 1);

/** Uniform in [0, 1): the finalizer of MurmurHash3 over a counter, so that any language makes the same numbers. */
export function uniform(seed, count) {
  const values = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    let x = (i + Math.imul(seed, 0x9e3779b9)) | 0;
    x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
    x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
    values[i] = ((x ^ (x >>> 16)) >>> 8) / 2 ** 24;
  }
  return values;
}

/** Starting weights of a model: uniform within sqrt(6 / fan-in), biases zero. */
export const weightsOf = (model) =>
  MODELS[model].map(({ name, shape, fan }, at) => {
    const bound = shape.length === 1 ? 0 : Math.sqrt(6 / fan);
    const data = Float32Array.from(uniform(at + 1, product(shape)), (value) => (2 * value - 1) * bound);
    return { name, shape, data };
  });

/** Batches of random pixels with random labels. */
export const batches = () =>
  Array.from({ length: BATCHES }, (_, at) => ({
    images: Float32Array.from(uniform(100 + at, BATCH * SIDE * SIDE)),
    labels: Int32Array.from(uniform(200 + at, BATCH), (value) => Math.floor(value * CLASSES)),
  }));

/** Labels as rows of zeros with a one. */
export function oneHot(labels) {
  const rows = new Float32Array(labels.length * CLASSES);
  for (const [row, label] of labels.entries()) rows[row * CLASSES + label] = 1;
  return rows;
}
