/** fewbit's trainer on one of its engines: `--variant ort-node` or `--variant ort-web`. */
import { memoryData } from "../../dist/containers/training-data.js";
import { floatTensor, node, onnxModel, valueInfo } from "../../dist/ir/build.js";
import { nodeHost } from "../../dist/node/host.js";
import { silent } from "../../dist/pipeline/progress.js";
import { chooseUnroll } from "../../dist/pipeline/train/run.js";
import { train } from "../../dist/pipeline/train/train.js";
import { withLoss } from "../../dist/train/losses.js";
import { adam } from "../../dist/train/optimizers.js";
import { trainingStep } from "../../dist/train/step.js";
import { CHECKED_STEP, stopwatch, wish } from "./contender.js";
import { ADAM, BATCH, BATCHES, batches, CLASSES, SIDE, weightsOf } from "./models.js";

const dense = (x, name, y) => node("Gemm", [x, `${name}.weight`, `${name}.bias`], [y]);
const relu = (x, y) => node("Relu", [x], [y]);
const pool = (x, y) => node("MaxPool", [x], [y], { attributes: { kernel_shape: [2, 2], strides: [2, 2] } });
const conv = (x, name, y) =>
  node("Conv", [x, `${name}.weight`, `${name}.bias`], [y], {
    attributes: { kernel_shape: [3, 3], pads: [1, 1, 1, 1] },
  });

const NETS = {
  mlp: [
    dense("x", "dense1", "a"),
    relu("a", "b"),
    dense("b", "dense2", "c"),
    relu("c", "d"),
    dense("d", "dense3", "logits"),
  ],
  cnn: [
    ...[conv("x", "conv1", "a"), relu("a", "b"), pool("b", "c")],
    ...[conv("c", "conv2", "d"), relu("d", "e"), pool("e", "f")],
    node("Flatten", ["f"], ["g"]),
    ...[dense("g", "dense1", "h"), relu("h", "i"), dense("i", "dense2", "logits")],
  ],
};
const IMAGE = { mlp: [SIDE * SIDE], cnn: [1, SIDE, SIDE] };

function stepOf(name) {
  const weights = weightsOf(name);
  const forward = onnxModel({
    inputs: [valueInfo("x", "float32", ["batch", ...IMAGE[name]])],
    outputs: [valueInfo("logits", "float32", ["batch", CLASSES])],
    nodes: NETS[name],
    tensors: weights.map(({ name, shape, data }) => floatTensor(name, shape, data)),
  });
  const { model, loss } = withLoss(forward, { kind: "cross-entropy" });
  return trainingStep(model, { loss, parameters: weights.map((weight) => weight.name), optimizer: adam(ADAM) });
}

/** All batches as one set, handed out one after the other, whatever order is asked for. */
function data(name) {
  const all = batches();
  const count = BATCH * BATCHES;
  const pixels = Float32Array.from(all.flatMap(({ images }) => [...images]));
  const labels = BigInt64Array.from(
    all.flatMap((batch) => [...batch.labels]),
    BigInt,
  );
  const { rows } = memoryData({
    x: { dtype: "float32", shape: [count, ...IMAGE[name]], data: pixels },
    labels: { dtype: "int64", shape: [count], data: labels },
  });
  let next = 0;
  return {
    length: count,
    rows(indices) {
      const first = next;
      next = (next + indices.length) % count;
      return rows(indices.map((_, at) => first + at));
    },
  };
}

const host = await nodeHost({ engine: wish.variant, threads: wish.threads }, new AbortController().signal);
if (host.engine.name !== wish.variant) throw new Error(host.notes.join(" "));
const step = stepOf(wish.model);

const settings = { step, batch: BATCH, schedule: { rate: ADAM.rate, kind: "constant" }, seed: 1 };
const start = performance.now();
const { losses } = await train(host, {
  ...settings,
  data: { ...data(wish.model), length: BATCH * CHECKED_STEP },
  epochs: 1,
});
const loss = losses[CHECKED_STEP - 1];
const elapsed = performance.now() - start;

const enough = stopwatch({ firstMs: elapsed, loss, stepMs: elapsed / CHECKED_STEP });
const run = { ...settings, data: data(wish.model), epochs: 10_000 };
const together = chooseUnroll(run, run.epochs * BATCHES);
const stop = new AbortController();
let steps = 0;
const tick = () => {
  if (!stop.signal.aborted && ++steps % together === 0 && enough(together)) stop.abort();
};
const hooks = { progress: { ...silent, step: () => ({ tick, done() {} }) }, signal: stop.signal };
await train(host, run, hooks).catch((error) => {
  if (error.code !== "cancelled") throw error;
});
