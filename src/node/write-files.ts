/** Writes files so that either all of them are there, complete, or nothing has changed. */
import { createHash } from "node:crypto";
import { type FileHandle, link, open, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { OutputFile } from "../containers/stream.ts";
import { fail } from "../numeric/errors.ts";
import { withIoErrors } from "./io-errors.ts";
import { checkNames, checkSpace, checkTarget, makeFolder } from "./output-checks.ts";
import { forgetTemporary, removeTemporary, temporaryPath } from "./temporaries.ts";

/** A file that is in its place. */
export interface WrittenFile {
  readonly path: string;
  readonly size: number;
  /** Hexadecimal. */
  readonly sha256: string;
}

/** A complete file under a temporary name, and the name that it will have. */
export interface FinishedFile {
  readonly name: string;
  readonly path: string;
}

/** Looks at finished files before they get their names; what it throws undoes the writing. */
export type Accept = (files: readonly FinishedFile[]) => Promise<void>;

/** How files are written. */
export interface WriteFilesOptions {
  readonly signal?: AbortSignal;
  readonly accept?: Accept;
}

/** A file under a temporary name, and its own. */
export interface Replacement {
  readonly target: string;
  readonly temporary: string;
}

/** One file on its way: written under a temporary name, then renamed. */
interface Job extends Replacement {
  readonly file: OutputFile;
}

async function writeChunks(
  handle: FileHandle,
  { file, target }: Job,
  signal: AbortSignal | undefined,
): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of file.chunks()) {
    if (signal?.aborted) fail("cancelled", `writing "${target}" was interrupted; nothing was changed`);
    hash.update(chunk);
    for (let done = 0; done < chunk.length; ) done += (await handle.write(chunk, done)).bytesWritten;
  }
  return hash.digest("hex");
}

async function writeOne(job: Job, signal: AbortSignal | undefined): Promise<WrittenFile> {
  const handle = await open(job.temporary, "wx");
  const sha256 = await writeChunks(handle, job, signal).finally(() => handle.close());
  return { path: job.target, size: job.file.size, sha256 };
}

/** Gives a file its name; the result takes that back. A hard link keeps what was there before until all is done. */
async function replace({ temporary, target }: Replacement, backups: string[]): Promise<() => Promise<void>> {
  const existed = await stat(target).then(
    () => true,
    () => false,
  );
  const backup = existed ? temporaryPath(dirname(target)) : undefined;
  const kept =
    backup !== undefined &&
    (await link(target, backup).then(
      () => true,
      () => false,
    ));
  if (backup !== undefined) backups.push(backup);
  await rename(temporary, target);
  forgetTemporary(temporary);
  if (kept) return () => rename(backup, target);
  return existed ? async () => {} : () => rm(target, { force: true });
}

/** Gives files their names, all or none. */
export async function replaceAll(jobs: readonly Replacement[]): Promise<void> {
  const undo: (() => Promise<void>)[] = [];
  const backups: string[] = [];
  try {
    for (const job of jobs) undo.push(await withIoErrors("write", job.target, () => replace(job, backups)));
  } catch (error) {
    for (const back of undo.reverse()) await back().catch(() => {});
    throw error;
  } finally {
    for (const backup of backups) await removeTemporary(backup);
  }
}

async function writeAll(jobs: readonly Job[], { signal, accept }: WriteFilesOptions): Promise<readonly WrittenFile[]> {
  const written: WrittenFile[] = [];
  for (const job of jobs) written.push(await withIoErrors("write", job.target, () => writeOne(job, signal)));
  await accept?.(jobs.map(({ file, temporary }) => ({ name: file.name, path: temporary })));
  await replaceAll(jobs);
  return written;
}

async function prepare(folder: string, files: readonly OutputFile[], made: string[]): Promise<readonly Job[]> {
  checkNames(files);
  await checkSpace(folder, files);
  const jobs: Job[] = [];
  for (const file of files) {
    const target = join(folder, file.name);
    await checkTarget(target);
    const topmost = await makeFolder(folder, target);
    if (topmost) made.push(topmost);
    jobs.push({ file, target, temporary: temporaryPath(dirname(target)) });
  }
  return jobs;
}

/**
 * Writes files to a folder, in order; names may hold `/`. All are written under temporary names and renamed at the end:
 * after an error ("io", "cancelled", ...) everything is as before.
 */
export async function writeFiles(
  folder: string,
  files: readonly OutputFile[],
  options: WriteFilesOptions = {},
): Promise<readonly WrittenFile[]> {
  const made: string[] = [];
  let jobs: readonly Job[] = [];
  try {
    jobs = await prepare(folder, files, made);
    return await writeAll(jobs, options);
  } catch (error) {
    for (const { temporary } of jobs) await removeTemporary(temporary);
    for (const path of made.reverse()) await rm(path, { recursive: true, force: true });
    throw error;
  }
}
