/** Experts of safetensors models: those of a block become codes together or stay, and loaders are told which. */
import { describe, expect, test } from "vitest";
import { bytesSource, readAll } from "../../ir/source.ts";
import type { StoredTensor, TensorFile } from "../../ir/tensor-file.ts";
import { decodeFloats, encodeFloats } from "../../numeric/convert.ts";
import { rng } from "../../numeric/rng.ts";
import { COMPRESSED_SCHEMES } from "../../recipes/compressed-tensors.ts";
import { compressedFindings, decompress, type PlanCompressedOptions, planCompressed } from "./index.ts";
import { quantized } from "./quantized.case.ts";

const random = rng(9);
const POOL = Float32Array.from({ length: 1 << 15 }, () => random.normal() * 0.05);

function tensor(name: string, shape: readonly number[]): StoredTensor {
  const count = shape.reduce((product, length) => product * length, 1);
  const values = POOL.subarray(name.length, name.length + count);
  return { name, type: "bfloat16", shape, data: bytesSource(encodeFloats(values, "bfloat16")) };
}

const HIDDEN = 128;

/** Families: where experts live, and the names of their matrices, the last being the way down. */
const MIXTRAL = { home: "block_sparse_moe", matrices: ["w1", "w3", "w2"] } as const;
const QWEN = { home: "mlp", matrices: ["gate_proj", "up_proj", "down_proj"] } as const;
type Names = typeof MIXTRAL | typeof QWEN;

interface Wish {
  readonly names?: Names;
  readonly experts?: number;
  readonly inner?: number;
}

function block(layer: number, { names = QWEN, experts = 3, inner = 128 }: Wish): readonly StoredTensor[] {
  const home = `model.layers.${layer}.${names.home}`;
  const own = (expert: number) =>
    names.matrices.map((matrix, i) =>
      tensor(`${home}.experts.${expert}.${matrix}.weight`, i === 2 ? [HIDDEN, inner] : [inner, HIDDEN]),
    );
  return [
    tensor(`model.layers.${layer}.self_attn.o_proj.weight`, [HIDDEN, HIDDEN]),
    tensor(`${home}.gate.weight`, [experts, HIDDEN]),
    ...Array.from({ length: experts }, (_, expert) => own(expert)).flat(),
  ];
}

const fileOf = (tensors: readonly StoredTensor[]): TensorFile => ({
  ...{ container: "safetensors", formatVersion: 1, metadata: new Map() },
  tensors: new Map(tensors.map((one) => [one.name, one])),
});
const model = (wish: Wish = {}) => fileOf([...block(0, wish), ...block(1, wish)]);

const schemeNamed = (name: string) => COMPRESSED_SCHEMES.find((scheme) => scheme.name === name)!;
const plan = (file: TensorFile, scheme = "w4", options: PlanCompressedOptions = {}) =>
  planCompressed(file, schemeNamed(scheme), options);
const codesIn = ({ tensors }: ReturnType<typeof plan>) =>
  tensors.filter(({ matrix }) => matrix !== undefined).map(({ name }) => name);
const codesOf = (findings: ReturnType<typeof compressedFindings>) => findings.map(({ code }) => code);

describe.each([
  ["Mixtral", MIXTRAL],
  ["Qwen", QWEN],
] as const)("experts named as in %s", (_, names) => {
  test.each(["w8", "w4", "w8a8-dynamic", "fp8"])(
    "%s: they become codes, what chooses them stays and is ignored",
    async (scheme) => {
      const file = model({ names });
      const planned = plan(file, scheme, { experts: 3, algorithm: "rtn" });
      expect(codesIn(planned)).toHaveLength(2 * (1 + 9));
      expect(planned.config.ignore).toEqual([
        "lm_head",
        `model.layers.0.${names.home}.gate`,
        `model.layers.1.${names.home}.gate`,
      ]);
      const written = await decompress(await quantized(file, planned), planned.form);
      const name = `model.layers.1.${names.home}.experts.2.${names.matrices[2]}.weight`;
      const [before, after] = [file.tensors.get(name)!, written.tensors.get(name)!];
      const [x, y] = [
        decodeFloats(await readAll(before.data), "bfloat16"),
        decodeFloats(await readAll(after.data), "float32"),
      ];
      // half the widest step of 4 bits over values within 0.25
      expect(Math.max(...x.map((value, i) => Math.abs(value - y[i]!)))).toBeLessThan(0.018);
    },
  );
});

test("only forms that transformers stacks as well go without a note", () => {
  const noted = (scheme: string, options?: PlanCompressedOptions) =>
    codesOf(compressedFindings(plan(model(), scheme, options))).filter((code) => code === "experts").length;
  expect(["w8", "w4", "fp8", "w8a8-dynamic"].map((scheme) => noted(scheme))).toEqual([0, 0, 0, 1]);
  expect(noted("w4", { asymmetric: true })).toBe(1);
});

test("where groups don't fit the way down, all experts of the block stay", () => {
  const file = fileOf([...block(0, { inner: 96 }), ...block(1, {})]);
  const planned = plan(file);
  expect(codesIn(planned).filter((name) => name.includes("layers.0"))).toEqual([
    "model.layers.0.self_attn.o_proj.weight",
  ]);
  expect(codesIn(planned).filter((name) => name.includes("layers.1"))).toHaveLength(10);
  expect(planned.config.ignore).toContain("re:(.*\\.)?layers\\.0\\.mlp\\.experts\\..*");
  expect(planned.config.ignore.join()).not.toMatch(/layers.1.*experts|experts\.\d/);
  const reasons = planned.tensors.filter(({ name }) => name.includes("0.mlp.experts.1.")).map(({ reason }) => reason);
  expect(reasons).toEqual([
    "stays with the other experts of its block, not all of which fit the groups",
    "stays with the other experts of its block, not all of which fit the groups",
    "rows of 96 values are no multiple of the group of 128",
  ]);
  expect(codesOf(compressedFindings(planned))).toEqual(["experts", "fallback"]);
  expect(codesIn(plan(file, "w4", { groupSize: 32 }))).toHaveLength(20);
});

test("the pattern for a block of experts matches its own names alone", () => {
  const file = fileOf([...block(1, { inner: 96 }), ...block(11, {})]);
  const [, pattern] = plan(file).config.ignore;
  const matcher = new RegExp(`^(?:${pattern!.slice("re:".length)})`);
  expect(matcher.test("model.layers.1.mlp.experts.0.gate_proj")).toBe(true);
  expect(matcher.test("language_model.model.layers.1.mlp.experts.0.gate_proj")).toBe(true);
  expect(matcher.test("model.layers.11.mlp.experts.0.gate_proj")).toBe(false);
  expect(matcher.test("model.sublayers.1.mlp.experts.0.gate_proj")).toBe(false);
});

test("--keep takes whole blocks", () => {
  const planned = plan(model(), "fp8", { keep: [/layers\.0\..*experts/] });
  expect(codesIn(planned).filter((name) => name.includes("experts"))).toHaveLength(9);
  expect(planned.config.ignore).toContain("re:(.*\\.)?layers\\.0\\.mlp\\.experts\\..*");
  const all = plan(model(), "fp8", { keep: [/experts/] });
  expect(codesIn(all)).toHaveLength(2);
  expect(all.config.ignore).toContain("re:.*\\.experts\\..*");
  expect(compressedFindings(all).map(({ message }) => message)).toEqual([
    '18 tensors of experts stay as they are, 90 percent of the bytes: "model.layers.0.mlp.experts.0.gate_proj.weight", kept as asked',
  ]);
});

test("experts in other forms stay: in three dimensions, with biases, without a gate", () => {
  const other = (...tensors: readonly StoredTensor[]) => codesIn(plan(fileOf([...block(0, {}), ...tensors])));
  const home = "model.layers.1.mlp.experts";
  expect(other(tensor(`${home}.gate_up_proj`, [2, 64, HIDDEN]))).toHaveLength(10);
  expect(other(...block(1, {}), tensor(`${home}.0.up_proj.bias`, [128]))).toHaveLength(11);
  expect(
    other(tensor(`${home}.0.up_proj.weight`, [128, HIDDEN]), tensor(`${home}.0.down_proj.weight`, [HIDDEN, 128])),
  ).toHaveLength(10);
});

describe("refused", () => {
  const without = (file: TensorFile, name: string) =>
    fileOf([...file.tensors.values()].filter((one) => one.name !== name));
  const changed = (file: TensorFile, change: StoredTensor) => fileOf([...file.tensors.values(), change]);
  const home = "model.layers.0.mlp.experts";

  test.each<[string, TensorFile, PlanCompressedOptions, RegExp]>([
    [
      "a matrix that is missing",
      without(model(), `${home}.1.up_proj.weight`),
      {},
      /tensor "model\.layers\.0\.mlp\.experts\.1\.up_proj\.weight" is missing; the folder is incomplete/,
    ],
    ["fewer experts than config.json says", model(), { experts: 8 }, /has 3 experts, but config\.json says 8/],
    ["more experts than config.json says", model(), { experts: 2 }, /has 3 experts, but config\.json says 2/],
    [
      "an expert of another shape",
      changed(model(), tensor(`${home}.2.gate_proj.weight`, [64, HIDDEN])),
      {},
      /experts\.2\.gate_proj\.weight" is \[64, 128\], which does not fit .*experts\.0\.gate_proj\.weight", \[128, 128\]/,
    ],
    [
      "a way down that does not fit",
      changed(model(), tensor(`${home}.0.down_proj.weight`, [64, HIDDEN])),
      {},
      /experts\.0\.down_proj\.weight" is \[64, 128\], which does not fit/,
    ],
    [
      "numbers beyond any model",
      changed(model(), tensor(`${home}.5000.down_proj.weight`, [HIDDEN, HIDDEN])),
      {},
      /has an expert 5000; at most 4096 are taken/,
    ],
    [
      "--keep that tears a block apart",
      model(),
      { keep: [/experts\.1\./] },
      /vLLM computes all experts of "model\.layers\.0\.mlp\.experts" as one layer.* only 3 of 9 matrices would stay/,
    ],
  ])("%s", (_, file, options, message) => {
    expect(() => plan(file, "w4", options)).toThrow(message);
  });
});
