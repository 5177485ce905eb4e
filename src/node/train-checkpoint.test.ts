import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import type { Checkpoint } from "../containers/checkpoint.ts";
import { checkpointOptions, readCheckpoint, writeCheckpoint } from "./train-checkpoint.ts";

const folder = await mkdtemp(join(tmpdir(), "fewbit-checkpoint-"));
afterAll(() => rm(folder, { recursive: true, force: true }));

const at = (step: number, floats = 4): Checkpoint => ({
  step,
  state: { w: { dtype: "float32", shape: [floats], data: new Float32Array(floats).fill(step) } },
  losses: new Float32Array(step),
  identity: { batch: "1" },
});

const silent = () => {};

test("a checkpoint takes the place of the one before, and leaves nothing beside it", async () => {
  const path = join(folder, "run.ckpt");
  for (const step of [1, 2]) await writeCheckpoint(path, at(step));
  expect(await readCheckpoint(path)).toEqual(at(2));
  expect(await readdir(folder)).toEqual(["run.ckpt"]);
});

test("when saving fails, the old checkpoint is as it was and the reason is said", async () => {
  const missing = join(folder, "gone", "run.ckpt");
  await expect(writeCheckpoint(missing, at(1))).rejects.toThrow(/can't save the checkpoint ".*run\.ckpt"/);
  expect(await readdir(folder)).toEqual(["run.ckpt"]);
});

test("an existing file is neither overwritten nor read without being asked to", async () => {
  const path = join(folder, "run.ckpt");
  await expect(checkpointOptions({ path, seconds: 1, resume: false }, silent)).rejects.toThrow(/add --resume/);
  const notes: string[] = [];
  const options = await checkpointOptions({ path, seconds: 1, resume: true }, (text) => notes.push(text));
  expect(options.resume?.checkpoint.step).toBe(2);
  expect(notes).toEqual([`going on from ${path}, after step 2`]);
  const fresh = join(folder, "fresh.ckpt");
  expect((await checkpointOptions({ path: fresh, seconds: 1, resume: true }, silent)).resume).toBeUndefined();
  expect(await checkpointOptions(undefined, silent)).toEqual({});
});

test("a file that is no checkpoint, and a folder, are refused", async () => {
  const path = join(folder, "notes.txt");
  await writeFile(path, "not a checkpoint, only some words that are long enough to be one");
  await expect(checkpointOptions({ path, seconds: 1, resume: true }, silent)).rejects.toThrow(/not a checkpoint/);
  await expect(checkpointOptions({ path: folder, seconds: 1, resume: true }, silent)).rejects.toThrow(/is a folder/);
});
