/** Experts of Mixtral and Qwen in llama.cpp's stacks; whole files are in folders.test.ts. */
import { describe, expect, test } from "vitest";
import { bytesSource, readAll } from "../../ir/source.ts";
import type { StoredTensor } from "../../ir/tensor-file.ts";
import { FAMILIES } from "./architectures.ts";
import type { Config } from "./config.ts";
import { stackExperts } from "./experts.ts";

const { MixtralForCausalLM: mixtral, Qwen3MoeForCausalLM: qwen } = FAMILIES;

/** A tensor of bytes that count on from the first. */
const tensor = (name: string, shape: readonly number[], first = 0): StoredTensor => {
  const size = shape.reduce((product, length) => product * length, 1) * 4;
  return { name, type: "float32", shape, data: bytesSource(Uint8Array.from({ length: size }, (_, i) => first + i)) };
};

const home = "model.layers.0.block_sparse_moe";
const matrix = (expert: number, name: string, shape = name === "w2" ? [3, 2] : [2, 3]): StoredTensor =>
  tensor(`${home}.experts.${expert}.${name}.weight`, shape, 30 * expert + Number(name[1]));
const router = tensor(`${home}.gate.weight`, [2, 3]);
const both = [0, 1].flatMap((expert) => ["w1", "w2", "w3"].map((name) => matrix(expert, name)));

const configOf = (settings: Readonly<Record<string, number>>): Config =>
  new Map(Object.entries({ num_local_experts: 2, num_experts_per_tok: 1, ...settings }));
const stacked = (tensors: readonly StoredTensor[], settings = {}) => [
  ...stackExperts(tensors, mixtral.experts, configOf(settings)),
];
const changed = (change: StoredTensor) => both.map((one) => (one.name === change.name ? change : one));

test("stacks come in place of the last matrix, each with its experts in order, whatever order they are found in", async () => {
  const [last, ...others] = [...both].reverse();
  const after = tensor("model.norm.weight", [3]);
  const found = stacked([router, ...others, last!, after]);
  expect(found.map(({ name, shape }) => `${name} ${shape}`)).toEqual([
    `${home}.gate.weight 2,3`,
    `${home}.experts.w1.weight 2,2,3`,
    `${home}.experts.w2.weight 2,3,2`,
    `${home}.experts.w3.weight 2,2,3`,
    "model.norm.weight 3",
  ]);
  expect([...(await readAll(found[2]!.data))]).toEqual([
    ...(await readAll(matrix(0, "w2").data)),
    ...(await readAll(matrix(1, "w2").data)),
  ]);
});

test("every block has stacks of its own, and those of Qwen come in another order", () => {
  const config: Config = new Map([
    ["num_experts", 1],
    ["num_experts_per_tok", 1],
  ]);
  const given = [3, 12].flatMap((layer) =>
    ["down_proj", "up_proj", "gate_proj"].map((name) =>
      tensor(`model.layers.${layer}.mlp.experts.0.${name}.weight`, [2, 2]),
    ),
  );
  expect([...stackExperts(given, qwen.experts, config)].map(({ name }) => name)).toEqual(
    [3, 12].flatMap((layer) =>
      ["down_proj", "gate_proj", "up_proj"].map((name) => `model.layers.${layer}.mlp.experts.${name}.weight`),
    ),
  );
});

describe("refused", () => {
  test.each<[string, readonly StoredTensor[], Readonly<Record<string, number>>, string]>([
    [
      "a matrix that is missing",
      both.filter(({ name }) => !name.endsWith("1.w3.weight")),
      {},
      'experts.1.w3.weight" is missing; config.json says "num_local_experts" is 2',
    ],
    ["all experts of a block that chooses among some", [router], {}, 'experts.0.w1.weight" is missing'],
    ["more experts than there are", both, { num_local_experts: 3 }, 'experts.2.w1.weight" is missing'],
    [
      "fewer experts than there are",
      both,
      { num_local_experts: 1 },
      'experts.1.w1.weight" is one too many: config.json says "num_local_experts" is 1',
    ],
    [
      "another shape",
      changed(matrix(1, "w1", [3, 2])),
      {},
      'experts.1.w1.weight" is float32 [3, 2], but "model.layers.0.block_sparse_moe.experts.0.w1.weight" is float32 [2, 3]',
    ],
    ["another type", changed({ ...matrix(1, "w2"), type: "bfloat16" }), {}, 'w2.weight" is bfloat16 [3, 2], but'],
    [
      "no matrices",
      both.map((one) => ({ ...one, shape: [6] })),
      {},
      'experts.0.w1.weight" has 1 dimensions, expected a matrix',
    ],
    ["experts beyond llama.cpp's", both, { num_local_experts: 1e9 }, "llama.cpp takes 1024 experts at most"],
    ["no experts", both, { num_local_experts: 0 }, '"num_local_experts" is 0'],
    ["half an expert", both, { num_local_experts: 1.5 }, '"num_local_experts" is 1.5'],
    ["more chosen than there are", both, { num_experts_per_tok: 3 }, "is 3, but there are 2 experts"],
  ])("%s", (_, tensors, settings, message) => {
    expect(() => stacked(tensors, settings)).toThrowError(message);
  });
});
