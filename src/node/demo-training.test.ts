import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { memoryArray } from "../containers/data-arrays.ts";
import { rowsDataset } from "../containers/data-rows.ts";
import { valueInfo } from "../ir/build.ts";
import { fail } from "../numeric/errors.ts";
import { drawCharacters } from "../pipeline/demo/draw.ts";
import { type Hooks, noHooks, silent } from "../pipeline/progress.ts";
import { AWARE, IN_INTEGERS, type Training, trainAll, type Way } from "./demo-training.ts";
import { nodeHost } from "./host.ts";
import { recipeFor } from "./quantize.ts";
import { openLegalSource, type SourceModel } from "./surroundings.ts";

const MODEL = fileURLToPath(new URL("../../demo/characters.onnx", import.meta.url));
let source: SourceModel;
let folder: string;

beforeAll(async () => {
  source = await openLegalSource(MODEL);
  folder = await mkdtemp(join(tmpdir(), "fewbit-demo-"));
  vi.stubEnv("TMPDIR", folder);
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await source.close();
  await rm(folder, { recursive: true, force: true });
});

/** A way that takes a few steps. */
const short = (way: Way, scheme: string, steps: number): Way => ({
  ...way,
  courses: { [scheme]: { steps, rate: 1e-3 } },
});

function job(way: Way, scheme: string, steps = 2): Training {
  const { images, labels } = drawCharacters({ seed: 1, count: 64 });
  const input = valueInfo("image", "float32", ["batch", ...images.shape.slice(1)]);
  const data = rowsDataset([{ input, array: memoryArray(images, "drawn") }], "drawn");
  const request = { model: MODEL, schemes: [], keep: [], force: false, embeddings: false, command: "", threads: 1 };
  const recipe = recipeFor(request, [], scheme, source.model);
  const given = { model: source.model, digest: "", recipe, calibration: data };
  return {
    ...{ label: `${scheme} ${way.mode}`, way: short(way, scheme, steps), scheme },
    input: { ...given, evaluation: { data, labels, metrics: [] } },
  };
}

const hostFor = () => nodeHost({ threads: 1 }, noHooks.signal);

/** Hooks that stop the work once so many images were seen. */
function stopAfter(images: number): Hooks {
  const stop = new AbortController();
  let seen = 0;
  const tick = (count = 1) => {
    seen += count;
    if (seen >= images) stop.abort();
  };
  return { signal: stop.signal, progress: { ...silent, step: () => ({ tick, done() {} }) } };
}

test("networks trained side by side are to the bit those trained alone", async () => {
  const host = await hostFor();
  const jobs = [job(AWARE, "w4a4"), job(IN_INTEGERS, "w4a8")];
  const together = await trainAll(host, jobs, noHooks);
  for (const each of jobs) {
    const alone = await trainAll(host, [each], noHooks);
    const found = together.get(each.label)!;
    expect(found.learned.losses).toHaveLength(2);
    expect(found.learned.losses).toEqual(alone.get(each.label)!.learned.losses);
    expect(found.summary.losses).toEqual([...found.learned.losses]);
  }
  expect(await readdir(folder)).toEqual([]);
});

test("where one training fails, the others stop and its error is what is said", async () => {
  const jobs = [job(AWARE, "w4a4", 1000), job({ ...IN_INTEGERS, learn: async () => fail("data", "no") }, "w4a8")];
  await expect(trainAll(await hostFor(), jobs, noHooks)).rejects.toMatchObject({ code: "data", message: "no" });
  expect(await readdir(folder)).toEqual([]);
});

test("Ctrl-C stops all of them and leaves nothing behind", async () => {
  const jobs = [job(AWARE, "w4a4", 1000), job(IN_INTEGERS, "w4a8", 1000)];
  await expect(trainAll(await hostFor(), jobs, stopAfter(256))).rejects.toMatchObject({ code: "cancelled" });
  expect(await readdir(folder)).toEqual([]);
});
