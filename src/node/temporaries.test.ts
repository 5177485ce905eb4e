import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { OWN_PREFIX, sweepStale } from "./temporaries.ts";

const folder = await mkdtemp(join(tmpdir(), "fewbit-temporaries-"));
const sleeper = await started();
afterAll(async () => {
  sleeper.kill("SIGKILL");
  await rm(folder, { recursive: true, force: true });
});

async function started(): Promise<ChildProcess> {
  const child = spawn(process.execPath, ["-e", "setTimeout(() => {}, 60_000)"]);
  await once(child, "spawn");
  return child;
}

/** Number of a process that was killed. */
async function killed(): Promise<number> {
  const child = await started();
  child.kill("SIGKILL");
  await once(child, "exit");
  return child.pid!;
}

const nameOf = (id: number): string => OWN_PREFIX.replace(/-\d+-$/, `-${id}-`);

test("what killed processes left goes; what can be gone on with, and is of living ones, of other machines or of the user, stays", async () => {
  const gone = await killed();
  const stale = [`.${nameOf(gone)}0123456789abcdef.tmp`, `${nameOf(gone)}AbCdEf`];
  const others = [
    ...[`.${nameOf(process.pid)}0.tmp`, `.${nameOf(sleeper.pid!)}0.tmp`],
    `.${nameOf(gone)}0123456789abcdef-01234567.part`,
    ...[`.fewbit-00000000-${gone}-0.tmp`, ".fewbit-0123456789abcdef.tmp", "fewbit-demo"],
  ];
  for (const name of [...stale, ...others]) {
    await mkdir(join(folder, name));
    await writeFile(join(folder, name, "step.onnx"), "weights");
  }
  const file = `.${nameOf(gone)}1.tmp`;
  await writeFile(join(folder, file), "perhaps the only copy");
  await sweepStale(folder);
  expect((await readdir(folder)).sort()).toEqual([...others, file].sort());
});

test("a folder that is not there is nobody's business", async () => {
  await expect(sweepStale(join(folder, "missing"))).resolves.toBeUndefined();
});
