/** Tensors and configuration against those of the package compressed-tensors: scripts/peers/golden-compressed-tensors.py. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { quantizationConfig, readForm } from "../../containers/compressed-tensors/index.ts";
import { parseJson } from "../../containers/json.ts";
import { bytesSource, collect, readAll } from "../../ir/source.ts";
import type { StorageType, StoredTensor, TensorFile } from "../../ir/tensor-file.ts";
import { decodeFloats, encodeFloats, typedView } from "../../numeric/convert.ts";
import { COMPRESSED_SCHEMES } from "../../recipes/compressed-tensors.ts";
import { decompress, planCompressed } from "./index.ts";
import { quantized } from "./quantized.case.ts";

interface Described {
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Base 64. */
  readonly data: string;
}

interface Golden {
  readonly group: number;
  readonly configs: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly cases: readonly {
    readonly weight: Described;
    readonly schemes: Readonly<Record<string, Readonly<Record<string, Described>>>>;
  }[];
}

const PATH = new URL("../../../tests/golden/compressed-tensors.json", import.meta.url);
const golden: Golden = JSON.parse(readFileSync(PATH, "utf8"));
const MODULE = "model.layers.0.mlp.down_proj";

const typeOf = (dtype: string): StorageType => (dtype === "float8_e4m3fn" ? "float8e4m3fn" : (dtype as StorageType));

function fileOf({ dtype, shape, data }: Described): TensorFile {
  const bytes = Uint8Array.from(Buffer.from(data, "base64"));
  const tensor: StoredTensor = { name: `${MODULE}.weight`, type: typeOf(dtype), shape, data: bytesSource(bytes) };
  return { container: "safetensors", formatVersion: 1, metadata: new Map(), tensors: new Map([[tensor.name, tensor]]) };
}

/** A scheme by the golden file's name: its own name, then "asymmetric" or nothing. */
function planFor(file: TensorFile, label: string) {
  const [name, asymmetric] = label.split(" ");
  const scheme = COMPRESSED_SCHEMES.find((row) => row.name === name)!;
  const hasGroups = scheme.weights.granularity.per === "group";
  return planCompressed(file, scheme, {
    ...{ algorithm: "rtn", asymmetric: asymmetric !== undefined },
    ...(hasGroups && { groupSize: golden.group }),
  });
}

/** The tensors in the shape of the golden file; scales first, as some files want them. */
async function made(file: TensorFile, label: string): Promise<Record<string, Described>> {
  const { tensors } = await quantized(file, planFor(file, label));
  const found: Record<string, Described> = {};
  for (const { name, type, shape, data } of [...tensors.values()].sort((a, b) => (a.name > b.name ? -1 : 1))) {
    const bytes = await collect({ size: data.size, chunks: () => data.chunks?.() ?? whole(data.read(0, data.size)) });
    const dtype = type === "float8e4m3fn" ? "float8_e4m3fn" : type;
    found[name.slice(MODULE.length + 1)] = { dtype, shape, data: Buffer.from(bytes).toString("base64") };
  }
  return found;
}

async function* whole(bytes: Promise<Uint8Array>) {
  yield await bytes;
}

for (const { weight, schemes } of golden.cases)
  for (const [label, expected] of Object.entries(schemes))
    test(`${label} of ${weight.dtype}: names, types, shapes and bytes are the package's`, async () => {
      expect(await made(fileOf(weight), label)).toEqual(expected);
    });

test.each(Object.keys(golden.configs))("%s: config.json says what the package would say", (label) => {
  const { config } = planFor(fileOf(golden.cases[0]!.weight), label);
  const { moe_sparsity_config: _, ...expected } = golden.configs[label]!;
  const { version, ...own } = config;
  expect(own).toEqual(expected);
  expect(version).toMatch(/^\d+\.\d+\.\d+$/);
});

test.each(Object.keys(golden.configs))("%s: the form is read back from the configuration", (label) => {
  const { form, config } = planFor(fileOf(golden.cases[0]!.weight), label);
  const text = JSON.stringify(config);
  expect(readForm(parseJson(text, { where: "test", depth: 10, values: 1000 }))).toEqual(form);
  expect(quantizationConfig(form, ["lm_head"])).toEqual(config);
});

for (const { weight, schemes } of golden.cases)
  test(`${weight.dtype}: decoding gives code minus zero point, times scale, for every scheme`, async () => {
    for (const label of Object.keys(schemes)) {
      const file = fileOf(weight);
      const plan = planFor(file, label);
      const floats = await decompress(await quantized(file, plan), plan.form);
      const found = decodeFloats(await readAll(floats.tensors.get(`${MODULE}.weight`)!.data), "float32");
      expect(found, label).toEqual(expectedValues(schemes[label]!, weight));
    }
  });

/** Values by the convention's words, from the golden bytes, one by one. */
function expectedValues(parts: Readonly<Record<string, Described>>, weight: Described): Float32Array {
  const bytes = (name: string) => Uint8Array.from(Buffer.from(parts[name]!.data, "base64"));
  const [rows, columns] = weight.shape as readonly [number, number];
  const scales = decodeFloats(bytes("weight_scale"), weight.dtype as "float32");
  const groups = scales.length / rows;
  const bits = parts.weight_packed === undefined ? 8 : (32 * parts.weight_packed.shape[1]!) / columns;
  const words = parts.weight_packed && (typedView(bytes("weight_packed"), "int32") as Int32Array);
  const zeros = parts.weight_zero_point && (typedView(bytes("weight_zero_point"), "int32") as Int32Array);
  const middle = 2 ** (bits - 1);
  const field = (word: number, place: number) => ((word >>> (place * bits)) & (2 ** bits - 1)) - middle;
  const plain = parts.weight && decodeFloats(bytes("weight"), typeOf(parts.weight.dtype) as "int8");
  const perWord = 32 / bits;
  return Float32Array.from({ length: rows * columns }, (_, i) => {
    const [row, group] = [Math.floor(i / columns), Math.floor(((i % columns) * groups) / columns)];
    const code = plain ? plain[i]! : field(words![Math.floor(i / perWord)]!, i % perWord);
    const zero = zeros ? field(zeros[Math.floor(row / perWord) * groups + group]!, row % perWord) : 0;
    return (code - zero) * scales[row * groups + group]!;
  });
}

test("searched grids are never worse than covering ones, for every scheme", async () => {
  const weight = golden.cases[1]!.weight;
  for (const scheme of COMPRESSED_SCHEMES) {
    const errors: number[] = [];
    for (const algorithm of ["rtn", "mse"] as const) {
      const file = fileOf(weight);
      const hasGroups = scheme.weights.granularity.per === "group";
      const plan = planCompressed(file, scheme, { algorithm, ...(hasGroups && { groupSize: 32 }) });
      const floats = await decompress(await quantized(file, plan), plan.form);
      const found = decodeFloats(await readAll(floats.tensors.get(`${MODULE}.weight`)!.data), "float32");
      const source = decodeFloats(Uint8Array.from(Buffer.from(weight.data, "base64")), "bfloat16");
      errors.push(source.reduce((sum, value, i) => sum + (value - found[i]!) ** 2, 0));
    }
    expect(errors[1], scheme.name).toBeLessThan(errors[0]!);
  }
});

test("what is not finite is named by tensor and index", async () => {
  const { weight } = golden.cases[1]!;
  const values = decodeFloats(Uint8Array.from(Buffer.from(weight.data, "base64")), "bfloat16");
  values[70] = Number.NaN;
  const bad = { ...weight, data: Buffer.from(encodeFloats(values, "bfloat16")).toString("base64") };
  await expect(made(fileOf(bad), "w4")).rejects.toThrow(`tensor "${MODULE}.weight": value 70 is NaN`);
});
