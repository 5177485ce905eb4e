/**
 * A real transformer, tensor for tensor: the files of q8 and q4 against those of onnxruntime's Python tools at
 * transformers.js settings (digests: scripts/peers/golden-minilm.py). FEWBIT_MINILM names the folder of export-minilm.py.
 */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { opTypes } from "../src/ir/edit.ts";
import type { Tensor } from "../src/ir/model.ts";
import { readAll } from "../src/ir/source.ts";
import { openModelFile, sha256File } from "../src/node/files.ts";
import { planModel } from "../src/pipeline/plan.ts";
import { quantize } from "../src/pipeline/quantize.ts";
import { plainRecipe } from "../src/recipes/recipe.ts";
import { schemeNamed } from "../src/recipes/schemes.ts";
import { forModel } from "../src/recipes/transformers-js.ts";

type Golden = { readonly model: string } & Readonly<Record<"q8" | "q4", Readonly<Record<string, string>>>>;

/** ONNX's names of the types these files hold. */
const TYPES: Readonly<Record<string, string>> = { float32: "FLOAT", int64: "INT64", int8: "INT8", uint8: "UINT8" };

const digestOf = async ({ dtype, shape, data }: Tensor): Promise<string> => {
  const sum = createHash("sha256")
    .update(await readAll(data))
    .digest("hex");
  return `${sum} ${TYPES[dtype] ?? dtype} [${shape.join(", ")}]`;
};

const path = join(process.env.FEWBIT_MINILM ?? "", "model.onnx");
const golden = JSON.parse(await readFile(new URL("golden/minilm.json", import.meta.url), "utf8")) as Golden;

async function whyNot(): Promise<string | undefined> {
  if (!process.env.FEWBIT_MINILM || !existsSync(path))
    return "set FEWBIT_MINILM to a folder made by scripts/peers/export-minilm.py";
  return (await sha256File(path)) === golden.model
    ? undefined
    : "another export than that of the digests; make them again";
}

const reason = await whyNot();
if (reason !== undefined) console.log(`skipped: a real transformer's q8 and q4 tensors: ${reason}`);

test.skipIf(reason !== undefined).each(["q8", "q4"] as const)(
  "%s holds the tensors of the Python tool, byte for byte",
  async (name) => {
    const { model, close } = await openModelFile(path);
    const ops = opTypes(model);
    const plan = planModel(model, plainRecipe(forModel(schemeNamed(name), { ops })));
    const { tensors } = (await quantize(model, plan)).model.graph;
    const found: Record<string, string> = {};
    for (const [key, tensor] of tensors) found[key] = await digestOf(tensor);
    await close();
    expect(found).toEqual(golden[name]);
    expect(Object.keys(found).length).toBeGreaterThan(100);
  },
);
