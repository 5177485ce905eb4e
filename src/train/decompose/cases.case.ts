/** Nodes that are decomposed, with outputs that are compared with the engine's own kernel and gradients that are checked. */
import { type AttributeInit, float, floats, intTensor, node, tensor } from "../../ir/build.ts";
import type { Tensor } from "../../ir/model.ts";
import { of } from "../checks/builders.case.ts";
import { constant, type Given, type GradCase } from "../gradcheck.case.ts";
import { decompose } from "./index.ts";

interface Options {
  readonly attributes?: Readonly<Record<string, AttributeInit>>;
  /** Names behind the inputs that are differentiated, "" for one left out. */
  readonly more?: readonly string[];
  readonly tensors?: readonly Tensor[];
  /** Names of further outputs that are compared too. */
  readonly outputs?: readonly string[];
  readonly opset?: number;
  readonly domain?: string;
  readonly label?: string;
  readonly order?: readonly string[];
}

const fixed = (...shape: readonly number[]): Given => ({ shape, fixed: true });

/** One node of com.microsoft unless told. */
function one(op: string, inputs: Readonly<Record<string, Given>>, options: Options = {}): GradCase {
  const { attributes = {}, more = [], tensors = [], outputs = [], opset = 21, domain = "com.microsoft" } = options;
  const read = options.order ?? [...Object.keys(inputs), ...more];
  const label = `${Object.values(inputs).map(({ shape }) => `[${shape}]`)} ${options.label ?? Object.keys(attributes)}`;
  return {
    ...{ op: domain === "" ? op : `${domain}.${op}`, label, inputs, prepare: decompose, precision: "float32" },
    ...{ opsets: [opset], tensors: () => tensors },
    nodes: () => [node(op, read, ["y", ...outputs], { domain, attributes })],
  };
}

const activations: readonly GradCase[] = [
  one("Gelu", { x: of([3, 4]) }),
  one("FastGelu", { x: of([3, 4]) }),
  one("FastGelu", { x: of([3, 4]), b: of([4]) }),
  one("BiasGelu", { x: of([2, 3, 4]), b: of([4]) }),
  one("QuickGelu", { x: of([3, 4]) }),
  one("QuickGelu", { x: of([3, 4]) }, { attributes: { alpha: float(0.8) } }),
];

const products: readonly GradCase[] = [
  one("FusedMatMul", { a: of([2, 3, 4]), b: of([2, 4, 5]) }, { attributes: { alpha: float(0.5) } }),
  one("FusedMatMul", { a: of([2, 4, 3]), b: of([2, 5, 4]) }, { attributes: { transA: 1, transB: 1, alpha: 0.25 } }),
  one("FusedMatMul", { a: of([3, 4]), b: of([5, 4]) }, { attributes: { transB: 1 } }),
  one(
    "FusedGemm",
    { a: of([3, 4]), b: of([4, 5]), c: of([5]) },
    { attributes: { activation: "Tanh", alpha: 0.5, beta: 1.5 } },
  ),
  one(
    "FusedGemm",
    { a: of([3, 4]), b: of([5, 4]) },
    { attributes: { activation: "LeakyRelu", activation_alpha: 0.3, transB: 1 } },
  ),
  one(
    "FusedConv",
    { x: of([2, 3, 5, 5]), w: fixed(4, 3, 3, 3), b: of([4]) },
    { attributes: { activation: "Sigmoid", pads: [1, 1, 1, 1], kernel_shape: [3, 3] } },
  ),
  one(
    "FusedConv",
    { x: of([1, 2, 4, 4]), w: fixed(2, 2, 2, 2), b: of([2]), z: of([1, 2, 3, 3]) },
    { attributes: { activation: "Tanh", kernel_shape: [2, 2] } },
  ),
  one(
    "FusedConv",
    { x: of([1, 2, 4, 4]), w: fixed(2, 2, 2, 2) },
    { attributes: { activation: "Clip", activation_params: floats([-40, 40]), kernel_shape: [2, 2] } },
  ),
];

const epsilon = float(1e-3);
const norms: readonly GradCase[] = [
  one(
    "SkipLayerNormalization",
    { x: of([2, 3, 4]), s: of([2, 3, 4]), g: of([4]), b: of([4]) },
    { attributes: { epsilon } },
  ),
  one(
    "SkipLayerNormalization",
    { x: of([2, 3, 4]), s: of([2, 3, 4]), g: of([4]), b: of([4]), c: of([4]) },
    { attributes: { epsilon }, outputs: ["", "", "sum"] },
  ),
  one(
    "SkipSimplifiedLayerNormalization",
    { x: of([2, 3, 4]), s: of([2, 3, 4]), g: of([4]) },
    { attributes: { epsilon }, outputs: ["", "", "sum"] },
  ),
  one(
    "SkipSimplifiedLayerNormalization",
    { x: of([2, 3, 4]), s: of([2, 3, 4]), g: of([4]), c: of([4]) },
    { attributes: { epsilon } },
  ),
];

/** Angles of 6 positions. */
const caches = (half: number): readonly Tensor[] =>
  [Math.cos, Math.sin].map((wave, index) => {
    const values = Array.from({ length: 6 * half }, (_, at) => wave(Math.floor(at / half) / (1 + (at % half))));
    return constant(index === 0 ? "cos" : "sin", [6, half], values, "float32");
  });

const perSample = (half: number): readonly Tensor[] => caches(half).map((cache) => ({ ...cache, shape: [2, 3, half] }));

const rotaries: readonly GradCase[] = [0, 1].flatMap((interleaved) => [
  one(
    "RotaryEmbedding",
    { x: fixed(2, 3, 8) },
    {
      ...{ attributes: { interleaved }, more: ["ids", "cos", "sin"], label: `from an offset ${interleaved}` },
      tensors: [intTensor("ids", [2]), ...caches(2)],
    },
  ),
  one(
    "RotaryEmbedding",
    { x: fixed(2, 2, 3, 4) },
    {
      ...{ attributes: { interleaved }, more: ["ids", "cos", "sin"], label: `at positions ${interleaved}` },
      tensors: [intTensor("ids", [0, 1, 2, 3, 1, 5], [2, 3]), ...caches(2)],
    },
  ),
  one(
    "RotaryEmbedding",
    { x: fixed(2, 3, 16) },
    {
      ...{ attributes: { interleaved, num_heads: 2, rotary_embedding_dim: 4 }, more: ["ids", "cos", "sin"] },
      ...{ tensors: [intTensor("ids", [0]), ...caches(2)], label: `a part of each head ${interleaved}` },
    },
  ),
  one(
    "RotaryEmbedding",
    { x: fixed(2, 2, 3, 6) },
    {
      ...{ domain: "", opset: 23, attributes: { interleaved, rotary_embedding_dim: 4 }, more: ["cos", "sin", "ids"] },
      ...{ tensors: [intTensor("ids", [0, 1, 2, 3, 1, 5], [2, 3]), ...caches(2)], label: `standard ${interleaved}` },
    },
  ),
  one(
    "RotaryEmbedding",
    { x: fixed(2, 3, 8) },
    {
      ...{ domain: "", opset: 23, attributes: { interleaved, num_heads: 2 }, more: ["cos", "sin"] },
      ...{ tensors: perSample(2), label: `standard, angles of every sample ${interleaved}` },
    },
  ),
]);

const int32 = (name: string, shape: readonly number[], values: readonly number[]): Tensor =>
  tensor(name, "int32", shape, Int32Array.from(values));

const apart = { q: fixed(2, 3, 8), k: fixed(2, 3, 8), v: fixed(2, 3, 8) };

/** The engine has no kernel for packed inputs on the CPU; it is given the parts. */
const packed = (inputs: Readonly<Record<string, Given>>, read: readonly string[], parts: number): GradCase => {
  const attributes = { num_heads: 2 };
  const names = ["a", "b", "c"].slice(0, parts);
  const flat = names.map((name) => node("Reshape", [`${name}5`, "flat"], [name]));
  const tensors = [
    intTensor(
      "ones",
      names.map(() => 1),
    ),
    intTensor("flat", [0, 0, -1]),
  ];
  const apart = node("MultiHeadAttention", [...read.slice(0, -1), ...names], ["y"], {
    domain: "com.microsoft",
    attributes,
  });
  return {
    ...one("MultiHeadAttention", inputs, { attributes, tensors, label: `${parts} packed` }),
    smooth: () => [
      node(
        "Split",
        ["p", "ones"],
        names.map((name) => `${name}5`),
        { attributes: { axis: 3 } },
      ),
      ...flat,
      apart,
    ],
  };
};

const multiHeads: readonly GradCase[] = [
  one("MultiHeadAttention", apart, { attributes: { num_heads: 2 } }),
  one("MultiHeadAttention", apart, { attributes: { num_heads: 2, unidirectional: 1, scale: 0.3 } }),
  one(
    "MultiHeadAttention",
    { q: fixed(2, 3, 8), k: fixed(2, 5, 8), v: fixed(2, 5, 4) },
    { attributes: { num_heads: 2 } },
  ),
  one("MultiHeadAttention", { ...apart, b: fixed(24) }, { attributes: { num_heads: 4 }, label: "with a bias" }),
  packed({ p: fixed(2, 3, 2, 3, 4) }, ["p"], 3),
  packed({ q: fixed(2, 3, 8), p: fixed(2, 5, 2, 2, 4) }, ["q", "p"], 2),
  one(
    "MultiHeadAttention",
    { q: fixed(2, 3, 8), k: fixed(2, 2, 5, 4), v: fixed(2, 2, 5, 4) },
    { attributes: { num_heads: 2 }, label: "keys and values by heads" },
  ),
  one("MultiHeadAttention", apart, {
    ...{ attributes: { num_heads: 2 }, more: ["", "m"], label: "keys that do not count" },
    tensors: [int32("m", [2, 3], [1, 1, 0, 0, 1, 1])],
  }),
  one("MultiHeadAttention", apart, {
    ...{ attributes: { num_heads: 2 }, more: ["", "m"], label: "lengths of keys" },
    tensors: [int32("m", [2], [2, 3])],
  }),
  one(
    "MultiHeadAttention",
    { ...apart, e: fixed(1, 2, 3, 3) },
    { attributes: { num_heads: 2 }, order: ["q", "k", "v", "", "", "e"], label: "scores with a bias" },
  ),
];

const projecteds: readonly GradCase[] = [
  one("Attention", { x: fixed(2, 3, 6), w: fixed(6, 24), b: fixed(24) }, { attributes: { num_heads: 2 } }),
  one(
    "Attention",
    { x: fixed(2, 3, 6), w: fixed(6, 20), b: fixed(20) },
    { attributes: { num_heads: 2, qkv_hidden_sizes: [8, 8, 4], unidirectional: 1 } },
  ),
  one(
    "Attention",
    { x: fixed(2, 3, 6), w: fixed(6, 24), b: fixed(24) },
    {
      ...{ attributes: { num_heads: 2 }, more: ["m"], label: "keys that do not count" },
      tensors: [int32("m", [2, 3], [1, 1, 0, 0, 1, 1])],
    },
  ),
];

const lengths: readonly Tensor[] = [int32("last", [2], [2, 2]), int32("total", [], [3])];
const group = { num_heads: 4, kv_num_heads: 2 };
const sharing = { q: fixed(2, 3, 32), k: fixed(2, 3, 16), v: fixed(2, 3, 16) };
const behind = ["", "", "last", "total"];
const groupeds: readonly GradCase[] = [
  one("GroupQueryAttention", sharing, { attributes: group, more: behind, tensors: lengths }),
  one("GroupQueryAttention", sharing, {
    ...{ attributes: { ...group, softcap: 2.5, scale: 0.2 }, more: behind, tensors: lengths, label: "softcap" },
  }),
  one("GroupQueryAttention", sharing, {
    ...{ attributes: { ...group, local_window_size: 2 }, more: behind, tensors: lengths, label: "a window" },
  }),
  one(
    "GroupQueryAttention",
    { q: fixed(2, 3, 64) },
    {
      ...{ attributes: group, more: ["", "", ...behind], tensors: lengths, label: "packed" },
    },
  ),
  ...[0, 1].map((rotary_interleaved) =>
    one(
      "GroupQueryAttention",
      { q: fixed(2, 3, 64), k: fixed(2, 3, 32), v: fixed(2, 3, 32) },
      {
        ...{ attributes: { ...group, do_rotary: 1, rotary_interleaved }, more: [...behind, "cos", "sin"] },
        ...{ tensors: [...lengths, ...caches(8)], outputs: ["pk", "pv"], label: `rotary ${rotary_interleaved}` },
      },
    ),
  ),
];

const standard = (inputs: Readonly<Record<string, Given>>, options: Options): GradCase =>
  one("Attention", inputs, { domain: "", opset: 23, ...options });
const byHeads = { q: fixed(2, 2, 3, 4), k: fixed(2, 2, 5, 4), v: fixed(2, 2, 5, 6) };
const standards: readonly GradCase[] = [
  standard(byHeads, {}),
  standard(byHeads, { attributes: { is_causal: 1, scale: 0.4 }, opset: 24 }),
  standard(byHeads, { attributes: { softcap: 1.5 } }),
  standard({ q: fixed(2, 4, 3, 4), k: fixed(2, 2, 5, 4), v: fixed(2, 2, 5, 4) }, { label: "heads share keys" }),
  standard(
    { q: fixed(2, 3, 16), k: fixed(2, 5, 8), v: fixed(2, 5, 8) },
    { attributes: { q_num_heads: 4, kv_num_heads: 2 } },
  ),
  standard({ ...byHeads, m: fixed(3, 5) }, { label: "added mask" }),
  standard({ ...byHeads, m: fixed(3, 5) }, { label: "added mask and softcap", attributes: { softcap: 1.5 } }),
  standard(byHeads, {
    ...{ more: ["m"], label: "mask of booleans" },
    tensors: [tensor("m", "bool", [3, 5], Uint8Array.from([1, 1, 0, 0, 0, 1, 0, 1, 1, 0, 1, 1, 1, 1, 1]))],
  }),
  standard(byHeads, {
    ...{ attributes: { is_causal: 1 }, more: ["m"], label: "a query that sees nothing" },
    tensors: [tensor("m", "bool", [3, 5], Uint8Array.from([0, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1]))],
  }),
];

export const DECOMPOSED: readonly GradCase[] = [
  ...[...activations, ...products, ...norms, ...rotaries],
  ...[...multiHeads, ...projecteds, ...groupeds, ...standards],
];
