/**
 * Whole files against llama-quantize's. tests/golden/gguf/quantize.json holds what it wrote, made by
 * scripts/peers/llama-quantize.sh; where FEWBIT_LLAMA_QUANTIZE names its driver, the files are made and compared anew.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, expect, test } from "vitest";
import { encodeGguf, readGguf } from "../../containers/gguf/index.ts";
import { bytesSource, collect } from "../../ir/source.ts";
import type { TensorFile } from "../../ir/tensor-file.ts";
import { sha256 } from "../../numeric/sha256.ts";
import { FILE_TYPES, type FileTypeName } from "../../recipes/ggml/index.ts";
import { type NamedImportance, planWeights, quantizeWeights } from "./index.ts";
import { importanceFile, importanceFor, MODELS } from "./models.case.ts";

interface Golden {
  readonly sha256: string;
  readonly size: number;
  /** Tensors in file order: "name type". */
  readonly types: string;
}

const PATH = resolve(import.meta.dirname, "../../../tests/golden/gguf/quantize.json");
const driver = process.env.FEWBIT_LLAMA_QUANTIZE;
const golden: Record<string, Golden> = existsSync(PATH) ? JSON.parse(readFileSync(PATH, "utf8")) : {};
const made: Record<string, Golden> = {};
const folder = mkdtempSync(join(tmpdir(), "fewbit-gguf-"));

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
  if (driver !== undefined) writeFileSync(PATH, `${JSON.stringify({ ...golden, ...made }, null, 1)}\n`);
});

/** Blocks of 128 and 64 have nothing to fall back on in rows of 160 and 100, and 32 nothing but f16. */
const isImpossible = (model: string, type: string): boolean => type === "q1_0" && model.startsWith("short");

const bytesOfFile = async (file: TensorFile): Promise<Uint8Array> => collect(encodeGguf(file)[0]!);

async function describe(bytes: Uint8Array): Promise<Golden> {
  const { tensors } = await readGguf(bytesSource(bytes));
  const types = [...tensors.values()].map(({ name, type }) => `${name} ${type}`).join("\n");
  return {
    sha256: await sha256(bytes),
    size: bytes.length,
    types: (await sha256(new TextEncoder().encode(types))).slice(0, 16),
  };
}

async function foreign(
  name: string,
  type: FileTypeName,
  importance: NamedImportance | undefined,
): Promise<Golden | undefined> {
  const [model, out] = [join(folder, `${name}.gguf`), join(folder, "out.gguf")];
  writeFileSync(model, await bytesOfFile(MODELS[name]!));
  const options: string[] = [];
  if (importance !== undefined) {
    const path = join(folder, "importance.bin");
    writeFileSync(path, await importanceFile(importance.matrix));
    options.push(
      `im=${path}`,
      `kvs=quantize.imatrix.file=${importance.path}`,
      "kvs=quantize.imatrix.dataset=made up.txt",
    );
    options.push(
      `kvi=quantize.imatrix.entries_count=${importance.matrix.entries.size}`,
      "kvi=quantize.imatrix.chunks_count=7",
    );
  }
  const { status, stderr } = spawnSync(driver!, [model, out, String(FILE_TYPES[type].id), "1", ...options], {
    encoding: "utf8",
  });
  if (status !== 0 && /requires an im(portance )?matrix/.test(stderr)) return undefined;
  expect(status, stderr).toBe(0);
  return describe(readFileSync(out));
}

async function own(
  name: string,
  type: FileTypeName,
  importance: NamedImportance | undefined,
): Promise<Golden | undefined> {
  const model = MODELS[name]!;
  const options = importance === undefined ? {} : { importance };
  const plan = planWeights(model, type, options);
  if (plan.tensors.some(({ missing }) => missing !== undefined)) return undefined;
  const { file } = await quantizeWeights(model, plan, options);
  const found = await describe(await bytesOfFile(file));
  expect(found.size, "the size that was planned").toBe(plan.size);
  return found;
}

const types = Object.keys(FILE_TYPES) as FileTypeName[];
/** 80 layers change something only where values of attention would have 3 or 4 bits; all types would take long. */
const OF_LARGE: readonly FileTypeName[] = ["q2_k", "q3_k_s", "q3_k_m", "q4_k_s", "q4_k_m"];

for (const name of Object.keys(MODELS))
  test(`${name}: every file type gives llama-quantize's file`, { timeout: 600_000 }, async () => {
    const matrix = importanceFor(MODELS[name]!, 9);
    for (const type of name === "large" ? OF_LARGE : types)
      for (const importance of [undefined, { path: "importance.gguf", matrix }]) {
        const key = `${name} ${type}${importance === undefined ? "" : " imatrix"}`;
        if (isImpossible(name, type)) continue;
        const expected = driver === undefined ? golden[key] : await foreign(name, type, importance);
        if (expected !== undefined) made[key] = expected;
        expect(await own(name, type, importance), key).toEqual(expected);
      }
  });
