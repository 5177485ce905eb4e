/** Whole folders become the files that llama.cpp's converter makes of them, byte for byte (scripts/peers/convert-hf.py). */
import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { encodeGguf } from "../../containers/gguf/index.ts";
import { onlyFile } from "../../containers/tensor-files.case.ts";
import { readAll } from "../../ir/source.ts";
import type { MetadataValue, TensorFile } from "../../ir/tensor-file.ts";
import { ggmlNameOf, isBlockType } from "../../numeric/ggml-types.ts";
import { type ConvertOptions, toGguf } from "./convert.ts";
import { folderFiles, folderWeights, type GoldenFolder, type GoldenOutput, golden } from "./folders.case.ts";
import { modelId, titleOf } from "./general/model-id.ts";

const { models, ids } = golden();
const sha256 = (bytes: Uint8Array | string): string => createHash("sha256").update(bytes).digest("hex");

/** Values up to this length stand in the golden file, longer ones as their digest; as Python's JSON has them. */
const SHOWN = 8;
const pythonJson = (value: readonly unknown[], of: string): string =>
  `[${value.map((item) => (of === "float32" && Number.isInteger(item) ? `${item}.0` : JSON.stringify(item))).join(",")}]`;

function keyOf([key, entry]: readonly [string, MetadataValue]): GoldenOutput["keys"][number] {
  if (entry.type !== "array") return [key, [entry.type], entry.value];
  const value = [...(entry.value as Iterable<unknown>)];
  const shown = value.length > SHOWN ? { count: value.length, sha256: sha256(pythonJson(value, entry.of)) } : value;
  return [key, ["array", entry.of], shown];
}

/** Scores are compared in the whole file: Python writes floats in another way than JavaScript. */
const comparable = (keys: GoldenOutput["keys"]) => keys.filter(([key]) => key !== "tokenizer.ggml.scores");

const typeOf = (type: string): string => (isBlockType(type) ? type : (ggmlNameOf(type as "float32") ?? type));

async function tensorsOf({ tensors }: TensorFile): Promise<GoldenOutput["tensors"]> {
  const rows: [string, string, string][] = [];
  for (const { name, type, data } of tensors.values())
    rows.push([name, typeOf(type), sha256(await readAll(data)).slice(0, 16)]);
  return rows;
}

const cases = models.flatMap((folder) =>
  Object.entries(folder.outputs).map(
    ([type, output]): [string, string, GoldenFolder, GoldenOutput] => [...[folder.name, type], folder, output] as never,
  ),
);

describe.each(cases)("%s as %s", (_, type, folder, output) => {
  const converted = async () =>
    toGguf(await folderWeights(folder), folderFiles(folder), { type: type as ConvertOptions["type"] });

  test("has the same keys in the same order with the same values", async () => {
    const { file, notes } = await converted();
    expect(comparable([...file.metadata].map(keyOf))).toEqual(comparable(output.keys));
    expect(notes).toEqual([]);
  });

  test("has the same tensors", async () => {
    expect(await tensorsOf((await converted()).file)).toEqual(output.tensors);
  });

  test("is the same file", async () => {
    const bytes = await onlyFile(encodeGguf((await converted()).file));
    expect([bytes.length, sha256(bytes)]).toEqual([output.bytes, output.sha256]);
  });
});

test("the parts of models' names are told apart as there", () => {
  const found = ids.map(([id, parameters]) => {
    const { name, organization, basename, finetune, version, sizeLabel } = modelId(id, parameters);
    const parts = [name, organization, basename, finetune, version, sizeLabel];
    return [id, parameters, ...parts.map((part) => part ?? null), titleOf(name ?? "")];
  });
  expect(found).toEqual(ids);
});
