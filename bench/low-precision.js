/**
 * Speed of one training step in float32 and in 8-bit integers: Adam, cross-entropy, one thread, variants taking turns.
 *
 *   npm run build && node bench/low-precision.js [--engine ort-node|ort-web] [--model mlp|cnn] [--widths 256,512,1024,2048]
 *                                                [--batches 32,128,512] [--seconds 3]
 *
 * mlp: 784-WIDTH-WIDTH-10. cnn: on 28x28, 3x3 convolutions of WIDTH channels, twice, the second of stride 2, then one of 2 WIDTH
 * channels, global average pooling, 10 classes. The last layer is float32 everywhere. Prints milliseconds of
 * processor time a step (median), and how many times as fast as float32 each variant is, the median of the rounds' own ratios.
 */
import { parseArgs } from "node:util";
import { floatTensor, node, onnxModel, valueInfo } from "../dist/ir/build.js";
import { readAll } from "../dist/ir/source.js";
import { nodeHost } from "../dist/node/host.js";
import { decodeFloats } from "../dist/numeric/convert.js";
import { rng } from "../dist/numeric/rng.js";
import { withLoss } from "../dist/train/losses.js";
import { withIntegerProducts } from "../dist/train/low-precision/rewrite.js";
import { adam } from "../dist/train/optimizers.js";
import { numberInput, RATE, trainingStep } from "../dist/train/step.js";
import { median } from "./tools.js";

const { values } = parseArgs({
  options: {
    engine: { type: "string", default: "ort-node" },
    model: { type: "string", default: "mlp" },
    widths: { type: "string" },
    batches: { type: "string", default: "32,128,512" },
    seconds: { type: "string", default: "3" },
  },
});
const SIDE = 28;
const CLASSES = 10;
const WIDTHS = { mlp: "256,512,1024,2048", cnn: "16,32,64" };
const numbers = (list) => list.split(",").map(Number);

const VARIANTS = {
  float32: undefined,
  "int8 forward": { backward: false },
  int8: {},
  "int8, rounded to nearest": { stochastic: false },
  ternary: { format: "ternary" },
};

const relu = (x, y) => node("Relu", [x], [y]);
const dense = (x, name, y) => node("Gemm", [x, `${name}.w`, `${name}.b`], [y], { name });
const conv = (x, name, y, stride) =>
  node("Conv", [x, `${name}.w`, `${name}.b`], [y], {
    name,
    attributes: { kernel_shape: [3, 3], pads: [1, 1, 1, 1], strides: [stride, stride] },
  });

const NETS = {
  mlp: (width) => ({
    input: [SIDE * SIDE],
    nodes: [
      ...[dense("x", "dense1", "a"), relu("a", "b"), dense("b", "dense2", "c"), relu("c", "d")],
      dense("d", "dense3", "logits"),
    ],
    shapes: { dense1: [SIDE * SIDE, width], dense2: [width, width], dense3: [width, CLASSES] },
  }),
  cnn: (width) => ({
    input: [1, SIDE, SIDE],
    nodes: [
      ...[conv("x", "conv1", "a", 1), relu("a", "b"), conv("b", "conv2", "c", 1), relu("c", "d")],
      ...[conv("d", "conv3", "e", 2), relu("e", "f"), conv("f", "conv4", "g", 1), relu("g", "h")],
      ...[node("GlobalAveragePool", ["h"], ["i"]), node("Flatten", ["i"], ["j"]), dense("j", "dense", "logits")],
    ],
    shapes: {
      ...{ conv1: [width, 1, 3, 3], conv2: [width, width, 3, 3], conv3: [2 * width, width, 3, 3] },
      ...{ conv4: [2 * width, 2 * width, 3, 3], dense: [2 * width, CLASSES] },
    },
  }),
};

const random = rng(1);
const normal = (shape, size) => {
  const count = shape.reduce((product, length) => product * length, 1);
  return Float32Array.from({ length: count }, () => random.normal() * size);
};

function stepOf(net, options) {
  const tensors = Object.entries(net.shapes).flatMap(([name, shape]) => {
    const inputs = shape.length === 2 ? shape[0] : shape[1] * 9;
    const outputs = shape.length === 2 ? shape[1] : shape[0];
    return [
      floatTensor(`${name}.w`, shape, normal(shape, Math.sqrt(2 / inputs))),
      floatTensor(`${name}.b`, [outputs], new Float32Array(outputs)),
    ];
  });
  const forward = onnxModel(
    {
      inputs: [valueInfo("x", "float32", ["batch", ...net.input])],
      outputs: [valueInfo("logits", "float32", ["batch", CLASSES])],
      nodes: net.nodes,
      tensors,
    },
    { opsets: { "": 21 }, formatVersion: 10 },
  );
  const { model, loss } = withLoss(forward, { kind: "cross-entropy" });
  const parameters = tensors.map(({ name }) => name);
  const trained = options === undefined ? model : withIntegerProducts(model, { parameters, ...options }).model;
  return trainingStep(trained, { loss, parameters, optimizer: adam() });
}

const host = await nodeHost({ engine: values.engine, threads: 1 }, new AbortController().signal);
if (host.engine.name !== values.engine) throw new Error(host.notes.join(" "));

const scalar = (value) => ({ dtype: "float32", shape: [], data: Float32Array.of(value) });
const arrayOf = async ({ dtype, shape, data }) => ({ dtype, shape, data: decodeFloats(await readAll(data), dtype) });

async function runnerOf(name, net, options, batch) {
  const step = stepOf(net, options);
  const staged = await host.stage(step.model, "step.onnx", "scratch");
  const session = await host.engine.open(staged.place, { threads: 1 });
  const noise = step.model.graph.inputs
    .filter((input) => input.name.startsWith("train/noise"))
    .map(({ name, shape }) => [
      name,
      { dtype: "float32", shape, data: Float32Array.from({ length: shape[0] }, random.uniform) },
    ]);
  const feeds = {
    x: { dtype: "float32", shape: [batch, ...net.input], data: normal([batch, ...net.input], 1) },
    labels: {
      dtype: "int64",
      shape: [batch],
      data: BigInt64Array.from({ length: batch }, (_, i) => BigInt(i % CLASSES)),
    },
    ...Object.fromEntries(noise),
    ...Object.fromEntries(await Promise.all(step.state.map(async (tensor) => [tensor.name, await arrayOf(tensor)]))),
    ...Object.fromEntries(
      Object.entries(step.optimizer.numbers(1)).map(([name, value]) => [numberInput(name), scalar(value)]),
    ),
    [RATE]: scalar(1e-3),
  };
  const close = async () => {
    await session.close();
    await staged[Symbol.asyncDispose]();
  };
  return { name, run: () => session.run(feeds), close };
}

const milliseconds = ({ user, system }) => (user + system) / 1000;

/** Processor time of each run, by runner: other programs on the machine make it last, but not cost, much more. */
async function processorTimes(runners, budget) {
  const times = runners.map(() => []);
  const end = performance.now() + budget;
  for (let round = -2; round < 5 || performance.now() < end; round++)
    for (let turn = 0; turn < runners.length; turn++) {
      const index = (turn + Math.max(round, 0)) % runners.length;
      const start = process.cpuUsage();
      await runners[index].run();
      if (round >= 0) times[index].push(milliseconds(process.cpuUsage(start)));
    }
  return times;
}

console.log(
  `${host.engine.description}, ${values.model}; milliseconds of processor time a step (times as fast as float32)\n`,
);
console.log(
  `| width | batch | ${Object.keys(VARIANTS).join(" | ")} |\n|${"---|".repeat(2 + Object.keys(VARIANTS).length)}`,
);
for (const width of numbers(values.widths ?? WIDTHS[values.model]))
  for (const batch of numbers(values.batches)) {
    const net = NETS[values.model](width);
    const runners = [];
    for (const [name, options] of Object.entries(VARIANTS)) runners.push(await runnerOf(name, net, options, batch));
    const times = await processorTimes(runners, 1000 * Number(values.seconds));
    const cells = times.map(
      (list) => `${median(list).toFixed(1)} (${median(list.map((ms, round) => times[0][round] / ms)).toFixed(2)}x)`,
    );
    console.log(`| ${width} | ${batch} | ${cells.join(" | ")} |`);
    for (const { close } of runners) await close();
  }
process.exit(0);
