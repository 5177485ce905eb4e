/** Checkpoint files: the last good one is there, whole, whatever happens while the next is written. */
import { open, rename, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { type Checkpoint, decodeCheckpoint, encodeCheckpoint, MAX_CHECKPOINT_BYTES } from "../containers/checkpoint.ts";
import { fail } from "../numeric/errors.ts";
import type { TrainOptions } from "../pipeline/train/run.ts";
import { withIoErrors } from "./io-errors.ts";
import { checkTarget } from "./output-checks.ts";
import type { TrainRequest } from "./requests.ts";
import { forgetTemporary, removeTemporary, temporaryPath } from "./temporaries.ts";

/** Whether something is there. */
export const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

/** Makes the new name itself survive a loss of power; file systems that can't sync a folder do so by themselves. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r").catch(() => undefined);
  await handle?.sync().catch(() => {});
  await handle?.close();
}

async function writeOnce(path: string, bytes: Uint8Array): Promise<void> {
  const temporary = temporaryPath(dirname(path));
  try {
    const handle = await open(temporary, "wx");
    try {
      for (let done = 0; done < bytes.length; ) done += (await handle.write(bytes, done)).bytesWritten;
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
    forgetTemporary(temporary);
  } catch (error) {
    await removeTemporary(temporary);
    throw error;
  }
  await syncFolder(dirname(path));
}

/** A temporary file that Ctrl-C swept away under the writer's hands. */
const isGone = (error: unknown): boolean => (error as { code?: string }).code === "ENOENT";

/** Writes beside and renames; a failure (code "io") leaves the old file as it was. */
export async function writeCheckpoint(path: string, checkpoint: Checkpoint): Promise<void> {
  const target = resolve(path);
  const bytes = await encodeCheckpoint(checkpoint);
  await withIoErrors("save the checkpoint", path, () =>
    writeOnce(target, bytes).catch((error) => {
      if (!isGone(error)) throw error;
      return writeOnce(target, bytes);
    }),
  );
}

/** Reads a checkpoint file; one that is damaged or of something else is an error of code "format". */
export async function readCheckpoint(path: string): Promise<Checkpoint> {
  const bytes = await withIoErrors("read", path, async () => {
    const handle = await open(path, "r");
    try {
      const { size } = await handle.stat();
      if (size > MAX_CHECKPOINT_BYTES)
        fail("limit", `${path}: ${size} bytes; a checkpoint has at most ${MAX_CHECKPOINT_BYTES}`);
      const whole = new Uint8Array(size);
      for (let done = 0; done < size; ) {
        const { bytesRead } = await handle.read(whole, done, size - done, done);
        if (bytesRead === 0) fail("format", `${path}: became shorter while it was read; try again`);
        done += bytesRead;
      }
      return whole;
    } finally {
      await handle.close();
    }
  });
  return decodeCheckpoint(bytes, path);
}

/** What training is told of checkpoints; says in `note` where it goes on, and where it can. */
export async function checkpointOptions(
  request: TrainRequest["checkpoint"],
  note: (sentence: string) => void,
): Promise<TrainOptions> {
  if (request === undefined) return {};
  const { path, seconds, resume } = request;
  await checkTarget(path);
  const there = await exists(path);
  if (there && !resume) fail("usage", `"${path}" exists; add --resume to go on from it, or remove it to begin anew`);
  const checkpoint = there ? await readCheckpoint(path) : undefined;
  if (checkpoint) note(`going on from ${path}, after step ${checkpoint.step}`);
  else if (resume) note(`${path} does not exist yet; training begins anew`);
  return {
    ...(checkpoint && { resume: { checkpoint, where: path } }),
    save: { seconds, write: (next) => writeCheckpoint(path, next) },
  };
}
