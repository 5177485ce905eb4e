/** Nodes that are decomposed, with outputs that are compared with the engine's own kernel and gradients that are checked. */
import { float, floats, intTensor } from "../../ir/build.ts";
import type { Tensor } from "../../ir/model.ts";
import { of } from "../checks/builders.case.ts";
import type { GradCase } from "../gradcheck.case.ts";
import { attentions } from "./attention.case.ts";
import { caches, fixed, one } from "./one.case.ts";

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

export const DECOMPOSED: readonly GradCase[] = [...[...activations, ...products, ...norms, ...rotaries], ...attentions];
