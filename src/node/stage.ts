/** Models at a temporary place: opened and measured there, and only then given to the user. */
import { mkdir, rename } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import type { Model } from "../ir/model.ts";
import { fail } from "../numeric/errors.ts";
import type { Staged } from "../pipeline/host.ts";
import { isBeingRead } from "./file-source.ts";
import { withIoErrors } from "./io-errors.ts";
import { removeTemporary, sweepStale, temporaryPath } from "./temporaries.ts";
import { writeModel } from "./write-model.ts";

/** A model in a temporary folder beside its later place. */
export interface StagedFiles extends Staged {
  readonly place: { readonly path: string; readonly label: string };
  /** Moves the files to the folder that was staged for; data files first, so that a model never lacks its weights. */
  commit(): Promise<void>;
}

/** Writes a model to a folder of its own inside `folder`. Nothing outside that folder changes before `commit`. */
export async function stageModel(
  model: Model,
  name: string,
  folder: string = tmpdir(),
  signal?: AbortSignal,
): Promise<StagedFiles> {
  const target = resolve(folder);
  await sweepStale(target);
  const inner = temporaryPath(target);
  const dispose = () => removeTemporary(inner);
  try {
    await withIoErrors("write", target, () => mkdir(inner, { mode: 0o700 }));
    const written = await writeModel(model, join(inner, name), signal ? { signal } : {});
    return {
      place: { path: join(inner, name), label: name },
      files: written.map(({ path, size, sha256 }) => ({ name: basename(path), size, sha256 })),
      size: written.reduce((sum, { size }) => sum + size, 0),
      async commit() {
        for (const { path } of written) await refuseSource(join(target, basename(path)));
        for (const { path } of [...written].reverse())
          await withIoErrors("write", join(target, basename(path)), () => rename(path, join(target, basename(path))));
        await dispose();
      },
      [Symbol.asyncDispose]: dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}

/** A model can't be written over the files it is read from: its weights are copied while it is written. */
export async function refuseSource(path: string): Promise<void> {
  if (await isBeingRead(path))
    fail("usage", `"${path}" is a file the model is being read from; choose another output path`);
}
