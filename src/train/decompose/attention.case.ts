/** Attention ops that are decomposed. */
import { intTensor, node, tensor } from "../../ir/build.ts";
import type { Tensor } from "../../ir/model.ts";
import type { Given, GradCase } from "../gradcheck.case.ts";
import { caches, fixed, type Options, one } from "./one.case.ts";

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

export const attentions: readonly GradCase[] = [...multiHeads, ...projecteds, ...groupeds, ...standards];
