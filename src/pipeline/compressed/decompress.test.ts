/** Damaged folders of compressed-tensors, and configurations of others. */
import { expect, test } from "vitest";
import { readForm } from "../../containers/compressed-tensors/index.ts";
import { parseJson } from "../../containers/json.ts";
import { bytesSource, readAll } from "../../ir/source.ts";
import type { StorageType, StoredTensor, TensorFile } from "../../ir/tensor-file.ts";
import { encodeFloats } from "../../numeric/convert.ts";
import { rng } from "../../numeric/rng.ts";
import { COMPRESSED_SCHEMES } from "../../recipes/compressed-tensors.ts";
import { compareWritten, decompress, planCompressed } from "./index.ts";
import { quantized } from "./quantized.case.ts";

const NAME = "model.layers.0.up_proj.weight";
const random = rng(4);
const values = Float32Array.from({ length: 16 * 128 }, () => random.normal());

const fileOf = (tensors: readonly StoredTensor[]): TensorFile => ({
  ...{ container: "safetensors", formatVersion: 1, metadata: new Map() },
  tensors: new Map(tensors.map((tensor) => [tensor.name, tensor])),
});
const source = fileOf([
  { name: NAME, type: "float32", shape: [16, 128], data: bytesSource(encodeFloats(values, "float32")) },
]);
const plan = planCompressed(source, COMPRESSED_SCHEMES.find(({ name }) => name === "w4")!, { asymmetric: true });

/** The quantized model with some of its tensors changed; null takes one away. */
async function damaged(changes: Readonly<Record<string, Partial<StoredTensor> | null>>): Promise<TensorFile> {
  const tensors: StoredTensor[] = [];
  for (const tensor of (await quantized(source, plan)).tensors.values()) {
    const change = changes[tensor.name.slice(NAME.length + 1)];
    const whole = { ...tensor, data: bytesSource(await readAll(tensor.data)) };
    if (change !== null) tensors.push({ ...whole, ...change });
  }
  return fileOf(tensors);
}

const typed = (type: StorageType, shape: readonly number[], size: number): Partial<StoredTensor> => ({
  ...{ type, shape },
  data: bytesSource(new Uint8Array(size)),
});

const shape = (rows: bigint, columns: bigint): Partial<StoredTensor> => ({
  data: bytesSource(new Uint8Array(BigInt64Array.of(rows, columns).buffer)),
});

test.each<[string, Record<string, Partial<StoredTensor> | null>, RegExp]>([
  ["packed codes are missing", { packed: null }, /weight_packed" is missing; the folder is incomplete/],
  ["zero points are missing", { zero_point: null }, /weight_zero_point" is missing/],
  ["the shape is missing", { shape: null }, /weight_scale": no matrix belongs to it/],
  ["the shape is negative", { shape: shape(-16n, 128n) }, /-16, 128 are no lengths of a matrix/],
  ["the shape is beyond any file", { shape: shape(2n ** 60n, 128n) }, /are no lengths of a matrix/],
  ["the shape fits no groups", { shape: shape(16n, 100n) }, /rows of 100 values fill no whole groups and words/],
  [
    "the shape is that of another matrix",
    { shape: shape(8n, 256n) },
    /weight_packed" is int32 \[16,16\] where int32 \[8,32\]/,
  ],
  ["the shape has another type", { shape: typed("int32", [2], 8) }, /weight_shape" is no shape of a matrix/],
  ["scales are integers", { scale: typed("int32", [16, 1], 64) }, /weight_scale" is int32, which no scales are/],
  [
    "scales have other rows",
    { scale: typed("float32", [15, 1], 60) },
    /weight_scale" is float32 \[15,1\] where float32 \[16,1\]/,
  ],
])("%s", async (_, changes, message) => {
  const read = async () => {
    const { tensors } = await decompress(await damaged(changes), plan.form);
    for (const { data } of tensors.values()) await readAll(data);
  };
  await expect(read()).rejects.toThrow(message);
});

test("what does not decode to the weights is not handed over", async () => {
  await expect(compareWritten(source, await damaged({}), plan)).resolves.toBeDefined();
  const other = await damaged({ packed: typed("int32", [16, 16], 1024) });
  await expect(compareWritten(source, other, plan)).rejects.toThrow(
    /does not decode to the weights; nothing is handed over/,
  );
});

test.each([
  ["no object", "[]"],
  ["another method", `{"quant_method": "gptq"}`],
  ["several groups", `{"quant_method": "compressed-tensors", "config_groups": {"a": {}, "b": {}}}`],
  ["no weights", `{"quant_method": "compressed-tensors", "config_groups": {"a": {}}}`],
  ["unknown bits", config({ num_bits: 3 })],
  ["an unknown strategy", config({ strategy: "tensor" })],
  ["groups of nothing", config({ group_size: 0 })],
  ["another format", config({}, "marlin-24")],
])("a configuration with %s is refused", (_, text) => {
  const json = parseJson(text, { where: "test", depth: 10, values: 100 });
  expect(() => readForm(json)).toThrow(/quantization_config: .*only what fewbit writes itself can be decoded/);
});

function config(weights: object, format = "pack-quantized"): string {
  const all = { num_bits: 4, type: "int", strategy: "group", group_size: 128, symmetric: true, ...weights };
  return JSON.stringify({ quant_method: "compressed-tensors", format, config_groups: { a: { weights: all } } });
}
