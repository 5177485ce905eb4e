/**
 * Every model of ONNX's own backend tests (written by scripts/peers/backend-models.py into the folder named by
 * FEWBIT_BACKEND_MODELS) and the MLPerf Tiny models: read, legal, written back byte for byte, and encoded anew.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { contentOf, fromBytes, toBytes, withoutOrigins } from "../src/containers/onnx/roundtrip.case.ts";
import { checkModel } from "../src/ir/check.ts";

const modelsIn = (folder: string): readonly string[] =>
  readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".onnx"))
    .sort()
    .map((name) => join(folder, name));

interface Counts {
  models: number;
  reencodedToSameBytes: number;
}

async function roundTrip(path: string, counts: Counts): Promise<void> {
  const bytes = readFileSync(path);
  const model = await fromBytes(bytes);
  expect(checkModel(model), path).toEqual([]);
  expect(Buffer.compare(await toBytes(model), bytes), `${path}: same bytes`).toBe(0);
  const anew = await toBytes(withoutOrigins(model));
  expect(await contentOf(await fromBytes(anew)), path).toEqual(await contentOf(model));
  counts.models++;
  if (Buffer.compare(anew, bytes) === 0) counts.reencodedToSameBytes++;
}

const suites = [
  {
    name: "ONNX backend test models",
    folder: process.env.FEWBIT_BACKEND_MODELS ?? "",
    missing: "set FEWBIT_BACKEND_MODELS to a folder made by scripts/peers/backend-models.py",
  },
  {
    name: "MLPerf Tiny models",
    folder: join(import.meta.dirname, "../../shared/data/mlperf-tiny"),
    missing: "the folder ../shared/data/mlperf-tiny is not there",
  },
];

for (const { name, folder, missing } of suites) {
  const there = folder !== "" && existsSync(folder);
  if (!there) console.log(`skipped: ${name}: ${missing}`);
  test.skipIf(!there)(`${name} read, are legal, write back byte for byte and encode anew`, async () => {
    const counts: Counts = { models: 0, reencodedToSameBytes: 0 };
    for (const path of modelsIn(folder)) await roundTrip(path, counts);
    console.log(`${name}: ${counts.models} models, ${counts.reencodedToSameBytes} encoded anew to the same bytes`);
    expect(counts.models).toBeGreaterThan(0);
  });
}
