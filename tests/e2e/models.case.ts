/** Small models without training: every op that quantization has a rule for, in a graph that an engine runs. */
import { floatTensor, graph, intTensor, node, onnxModel, tensor, valueInfo } from "../../src/ir/build.ts";
import type { Model, Node, Tensor } from "../../src/ir/model.ts";

/** Numbers in [0, 1), the same on every machine (mulberry32). */
export function mulberry(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Bell-shaped weights of variance 1 / fan-in: values keep their size from layer to layer. */
export function weights(name: string, shape: readonly number[], fanIn: number, seed = name.length * 31): Tensor {
  const next = mulberry(seed + [...name].reduce((sum, letter) => sum * 7 + letter.charCodeAt(0), 0));
  const count = shape.reduce((a, b) => a * b, 1);
  // four uniform numbers, summed: variance 1/3
  const bell = () => (next() + next() + next() + next() - 2) * Math.sqrt(3 / fanIn);
  return floatTensor(name, shape, Float32Array.from({ length: count }, bell));
}

const conv = (
  name: string,
  input: string,
  more: Readonly<Record<string, number | readonly number[]>> = {},
  bias = true,
): Node =>
  node("Conv", [input, `${name}.w`, ...(bias ? [`${name}.b`] : [])], [name], {
    name,
    attributes: { kernel_shape: [3, 3], pads: [1, 1, 1, 1], ...more },
  });

const convWeights = (name: string, out: number, input: number, kernel = 3): readonly Tensor[] => [
  weights(`${name}.w`, [out, input, kernel, kernel], input * kernel * kernel),
  weights(`${name}.b`, [out], 16),
];

export interface ModelOptions {
  readonly opset?: number;
}

/** IR version that came with an operator set (onnx/docs/Versioning.md). */
const irVersion = (opset: number): number =>
  opset >= 21 ? 10 : opset >= 19 ? 9 : opset >= 15 ? 8 : opset >= 12 ? 7 : opset >= 11 ? 6 : 4;

const versions = ({ opset = 17 }: ModelOptions) => ({ opsets: { "": opset }, formatVersion: irVersion(opset) });

/** A classifier: convolutions, a residual addition, a pool, a matrix. x [batch, 3, 16, 16] -> scores [batch, 10]. */
export const cnn = (options: ModelOptions = {}): Model =>
  onnxModel(
    {
      inputs: [valueInfo("x", "float32", ["batch", 3, 16, 16])],
      outputs: [valueInfo("scores", "float32", ["batch", 10])],
      nodes: [
        conv("stem", "x"),
        node("Relu", ["stem"], ["stem.relu"]),
        conv("left", "stem.relu"),
        node("Relu", ["left"], ["left.relu"]),
        conv("right", "left.relu"),
        node("Add", ["right", "stem.relu"], ["sum"], { name: "sum" }),
        node("Relu", ["sum"], ["sum.relu"]),
        node("MaxPool", ["sum.relu"], ["pool"], { attributes: { kernel_shape: [2, 2], strides: [2, 2] } }),
        conv("top", "pool", { strides: [2, 2] }),
        node("Relu", ["top"], ["top.relu"]),
        node("GlobalAveragePool", ["top.relu"], ["mean"]),
        node("Flatten", ["mean"], ["flat"]),
        node("Gemm", ["flat", "head.w", "head.b"], ["scores"], { name: "head", attributes: { transB: 1 } }),
      ],
      tensors: [
        ...convWeights("stem", 16, 3),
        ...convWeights("left", 16, 16),
        ...convWeights("right", 16, 16),
        ...convWeights("top", 32, 16),
        weights("head.w", [10, 32], 4),
        weights("head.b", [10], 16),
      ],
    },
    versions(options),
  );

/** Convolutions around one op in question. x [batch, 8, 8, 8] -> y. */
export const around = (
  nodes: readonly Node[],
  tensors: readonly Tensor[],
  outputs: readonly string[] = ["y"],
  options: ModelOptions = {},
): Model =>
  onnxModel(
    {
      inputs: [valueInfo("x", "float32", ["batch", 8, 8, 8])],
      outputs: outputs.map((name) => valueInfo(name, "float32")),
      nodes,
      tensors,
    },
    versions(options),
  );

/** A model of `around` by what is special about it. */
export const CONV_CASES: Readonly<Record<string, () => Model>> = {
  "batch normalization behind a convolution": () =>
    around(
      [
        conv("a", "x", {}, false),
        node("BatchNormalization", ["a", "bn.scale", "bn.b", "bn.mean", "bn.var"], ["bn"]),
        node("Relu", ["bn"], ["r"]),
        conv("y", "r"),
      ],
      [
        ...convWeights("a", 8, 8),
        ...convWeights("y", 8, 8),
        weights("bn.scale", [8], 4),
        weights("bn.b", [8], 4),
        weights("bn.mean", [8], 4),
        floatTensor("bn.var", [8], [0.5, 1, 1.5, 2, 0.7, 0.9, 1.1, 1.3]),
      ],
    ),
  "Clip from 0 to 6": () =>
    around(
      [conv("a", "x"), node("Clip", ["a", "zero", "six"], ["r"]), conv("y", "r")],
      [...convWeights("a", 8, 8), ...convWeights("y", 8, 8), floatTensor("zero", [], [0]), floatTensor("six", [], [6])],
    ),
  HardSwish: () =>
    around(
      [conv("a", "x"), node("HardSwish", ["a"], ["h"]), conv("y", "h")],
      [...convWeights("a", 8, 8), ...convWeights("y", 8, 8)],
    ),
  "a depthwise convolution": () =>
    around(
      [conv("a", "x", { group: 8 }), node("Relu", ["a"], ["r"]), conv("y", "r")],
      [...convWeights("a", 8, 1), ...convWeights("y", 8, 8)],
    ),
  "a convolution without bias": () =>
    around([conv("a", "x", {}, false), conv("y", "a")], [...convWeights("a", 8, 8), ...convWeights("y", 8, 8)]),
  "one weight in two convolutions": () =>
    around(
      [
        conv("a", "x"),
        node("Relu", ["a"], ["r"]),
        node("Conv", ["r", "a.w", "a.b"], ["y"], {
          name: "again",
          attributes: { kernel_shape: [3, 3], pads: [1, 1, 1, 1] },
        }),
      ],
      convWeights("a", 8, 8),
    ),
  "an output that is a Relu": () => around([conv("a", "x"), node("Relu", ["a"], ["y"])], convWeights("a", 8, 8)),
  "an output in the middle, before a Relu": () =>
    around(
      [conv("a", "x"), node("Relu", ["a"], ["r"]), conv("y", "r")],
      [...convWeights("a", 8, 8), ...convWeights("y", 8, 8)],
      ["a", "y"],
    ),
  "a residual whose Relu is an output too": () =>
    around(
      [conv("a", "x"), node("Add", ["a", "x"], ["s"]), node("Relu", ["s"], ["r"]), conv("y", "r")],
      [...convWeights("a", 8, 8), ...convWeights("y", 8, 8)],
      ["r", "y"],
    ),
  "an input used twice": () =>
    around(
      [conv("a", "x"), conv("b", "x"), node("Add", ["a", "b"], ["s"]), conv("y", "s")],
      [...convWeights("a", 8, 8), ...convWeights("b", 8, 8), ...convWeights("y", 8, 8)],
    ),
  "a value added to itself": () =>
    around(
      [conv("a", "x"), node("Add", ["a", "a"], ["s"]), conv("y", "s")],
      [...convWeights("a", 8, 8), ...convWeights("y", 8, 8)],
    ),
  Concat: () =>
    around(
      [conv("a", "x"), conv("b", "x"), node("Concat", ["a", "b"], ["c"], { attributes: { axis: 1 } }), conv("y", "c")],
      [...convWeights("a", 8, 8), ...convWeights("b", 8, 8), ...convWeights("y", 8, 16)],
    ),
  "a bias a million times larger than its products": () => {
    const [weight] = convWeights("a", 8, 8);
    return around(
      [conv("a", "x"), conv("y", "a")],
      [weight!, floatTensor("a.b", [8], [1e6, -1e6, 1e6, 3e5, -1e6, 1e5, 2e5, 1e6]), ...convWeights("y", 8, 8)],
    );
  },
  "names that quantization likes to give": () =>
    around(
      [
        node("Conv", ["x", "a", "a/z"], ["a/dq"], {
          name: "a/DQ",
          attributes: { kernel_shape: [3, 3], pads: [1, 1, 1, 1] },
        }),
        node("Relu", ["a/dq"], ["x/dq"]),
        node("Conv", ["x/dq", "a/q", "x/s"], ["h"], {
          name: "x/Q",
          attributes: { kernel_shape: [3, 3], pads: [1, 1, 1, 1] },
        }),
        node("PRelu", ["h", "a/s"], ["y"]),
      ],
      [
        weights("a", [8, 8, 3, 3], 72),
        weights("a/z", [8], 16),
        weights("a/q", [8, 8, 3, 3], 72),
        weights("x/s", [8], 16),
        weights("a/s", [8, 1, 1], 1),
      ],
    ),
  "operator set 21": () =>
    around(
      [conv("a", "x"), node("Relu", ["a"], ["r"]), conv("y", "r")],
      [...convWeights("a", 8, 8), ...convWeights("y", 8, 8)],
      ["y"],
      {
        opset: 21,
      },
    ),
  "operator set 23": () =>
    around(
      [conv("a", "x"), node("Relu", ["a"], ["r"]), conv("y", "r")],
      [...convWeights("a", 8, 8), ...convWeights("y", 8, 8)],
      ["y"],
      {
        opset: 23,
      },
    ),
};

/** Beside a transposed convolution, which no engine runs in integers. */
export const transposed = (): Model =>
  around(
    [
      conv("a", "x"),
      node("ConvTranspose", ["a", "up.w", "up.b"], ["up"], {
        name: "up",
        attributes: { kernel_shape: [2, 2], strides: [2, 2] },
      }),
      conv("y", "up"),
    ],
    [...convWeights("a", 8, 8), weights("up.w", [8, 8, 2, 2], 32), weights("up.b", [8], 16), ...convWeights("y", 8, 8)],
  );

const WIDTH = 64;
const HEADS = 4;
const WORDS = 100;

const matmul = (input: string, weight: string, output: string): readonly Node[] => [
  node("MatMul", [input, `${weight}.w`], [`${output}.mm`], { name: `${weight}.MatMul` }),
  node("Add", [`${output}.mm`, `${weight}.b`], [output]),
];

const linear = (name: string, input: number, output: number): readonly Tensor[] => [
  weights(`${name}.w`, [input, output], input),
  weights(`${name}.b`, [output], 16),
];

const heads = (name: string, transpose: readonly number[]): readonly Node[] => [
  node("Reshape", [name, "split"], [`${name}.split`]),
  node("Transpose", [`${name}.split`], [`${name}.heads`], { attributes: { perm: transpose } }),
];

/** One layer of an encoder. ids [batch, length] of 100 words -> y [batch, length, 64]. */
export const transformer = (options: ModelOptions = {}): Model =>
  onnxModel(
    {
      inputs: [valueInfo("ids", "int64", ["batch", "length"])],
      outputs: [valueInfo("y", "float32", ["batch", "length", WIDTH])],
      nodes: [
        node("Gather", ["table.w", "ids"], ["words"], { name: "table" }),
        ...matmul("words", "query", "q"),
        ...matmul("words", "key", "k"),
        ...matmul("words", "value", "v"),
        ...heads("q", [0, 2, 1, 3]),
        ...heads("k", [0, 2, 3, 1]),
        ...heads("v", [0, 2, 1, 3]),
        node("MatMul", ["q.heads", "k.heads"], ["products"], { name: "products" }),
        node("Mul", ["products", "quarter"], ["scaled"]),
        node("Softmax", ["scaled"], ["attention"], { attributes: { axis: -1 } }),
        node("MatMul", ["attention", "v.heads"], ["mixed.heads"], { name: "mix" }),
        node("Transpose", ["mixed.heads"], ["mixed.split"], { attributes: { perm: [0, 2, 1, 3] } }),
        node("Reshape", ["mixed.split", "join"], ["mixed"]),
        ...matmul("mixed", "out", "projected"),
        node("Add", ["projected", "words"], ["residual"]),
        node("LayerNormalization", ["residual", "norm.w", "norm.b"], ["normed"], { attributes: { axis: -1 } }),
        ...matmul("normed", "up", "wide"),
        node("Relu", ["wide"], ["active"]),
        ...matmul("active", "down", "narrow"),
        node("Add", ["narrow", "normed"], ["y"]),
      ],
      tensors: [
        weights("table.w", [WORDS, WIDTH], 1),
        ...["query", "key", "value", "out"].flatMap((name) => linear(name, WIDTH, WIDTH)),
        ...linear("up", WIDTH, 4 * WIDTH),
        ...linear("down", 4 * WIDTH, WIDTH),
        floatTensor("norm.w", [WIDTH], new Float32Array(WIDTH).fill(1)),
        weights("norm.b", [WIDTH], 16),
        floatTensor("quarter", [], [1 / Math.sqrt(WIDTH / HEADS)]),
        intTensor("split", [0, 0, HEADS, WIDTH / HEADS]),
        intTensor("join", [0, 0, WIDTH]),
      ],
    },
    versions(options),
  );

/** One square matrix, read as it is and transposed, with a bias each time: the channels lie on different axes. */
export const tied = (): Model =>
  onnxModel({
    inputs: [valueInfo("x", "float32", ["batch", WIDTH])],
    outputs: [valueInfo("y", "float32", ["batch", WIDTH])],
    nodes: [
      node("Gemm", ["x", "w", "b"], ["h"], { name: "down" }),
      node("Relu", ["h"], ["r"]),
      node("Gemm", ["r", "w", "b"], ["y"], { name: "up", attributes: { transB: 1 } }),
    ],
    tensors: [weights("w", [WIDTH, WIDTH], WIDTH), weights("b", [WIDTH], 16)],
  });

/** A branch for each sign of the input's sum, each with weights of its own; one more weight outside is read inside. */
export const branching = (): Model =>
  onnxModel({
    inputs: [valueInfo("x", "float32", ["batch", WIDTH])],
    outputs: [valueInfo("y", "float32", ["batch", WIDTH])],
    nodes: [
      node("MatMul", ["x", "first"], ["h"], { name: "first.MatMul" }),
      node("ReduceSum", ["x"], ["total"], { attributes: { keepdims: 0 } }),
      node("Greater", ["total", "zero"], ["positive"]),
      node("If", ["positive"], ["y"], {
        name: "choice",
        attributes: { then_branch: branch("then"), else_branch: branch("else") },
      }),
    ],
    tensors: [
      weights("first", [WIDTH, WIDTH], WIDTH),
      weights("outer", [WIDTH, WIDTH], WIDTH),
      floatTensor("zero", [], [0]),
    ],
  });

const branch = (name: string) =>
  graph({
    name,
    inputs: [],
    outputs: [valueInfo(`${name}.y`, "float32")],
    nodes: [
      node("MatMul", ["h", `${name}.w`], [`${name}.h`], { name: `${name}.MatMul` }),
      node("MatMul", [`${name}.h`, "outer"], [`${name}.y`], { name: `${name}.outer` }),
    ],
    tensors: [weights(`${name}.w`, [WIDTH, WIDTH], WIDTH)],
  });

/** The same matrix three times, in a Loop. */
export const looping = (): Model =>
  onnxModel({
    inputs: [valueInfo("x", "float32", ["batch", WIDTH])],
    outputs: [valueInfo("y", "float32", ["batch", WIDTH])],
    nodes: [
      node("MatMul", ["x", "first"], ["h"], { name: "first.MatMul" }),
      node("Loop", ["three", "go", "h"], ["y"], {
        name: "repeat",
        attributes: {
          body: graph({
            name: "body",
            inputs: [valueInfo("i", "int64", []), valueInfo("on", "bool", []), valueInfo("state", "float32")],
            outputs: [valueInfo("still", "bool", []), valueInfo("next", "float32")],
            nodes: [
              node("Identity", ["on"], ["still"]),
              node("MatMul", ["state", "step"], ["next"], { name: "step.MatMul" }),
            ],
            tensors: [weights("step", [WIDTH, WIDTH], WIDTH)],
          }),
        },
      }),
    ],
    tensors: [
      weights("first", [WIDTH, WIDTH], WIDTH),
      intTensor("three", [3], []),
      tensor("go", "bool", [], Uint8Array.of(1)),
    ],
  });

/** Two matrices; small enough for every refusal. x [batch, 64] -> y [batch, 16]. */
export const matrices = (first: Tensor = weights("first", [WIDTH, WIDTH], WIDTH)): Model =>
  onnxModel({
    inputs: [valueInfo("x", "float32", ["batch", WIDTH])],
    outputs: [valueInfo("y", "float32", ["batch", 16])],
    nodes: [
      node("MatMul", ["x", "first"], ["h"], { name: "one" }),
      node("Relu", ["h"], ["r"]),
      node("MatMul", ["r", "second"], ["y"], { name: "two" }),
    ],
    tensors: [first, weights("second", [WIDTH, 16], WIDTH)],
  });
