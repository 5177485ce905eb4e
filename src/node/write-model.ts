/** Writes a model so that either all of its files are there, complete, or nothing has changed. */
import { createHash } from "node:crypto";
import { type FileHandle, link, open, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import {
  type EncodedModel,
  type EncodeOptions,
  type ExternalOptions,
  encodeOnnx,
  hasExternalData,
  isUnchanged,
  MAX_PROTO_BYTES,
  type OutputFile,
} from "../containers/onnx/index.ts";
import { encodeTflite } from "../containers/tflite/index.ts";
import { graphs } from "../ir/edit.ts";
import type { ContainerName, Model } from "../ir/model.ts";
import { fail } from "../numeric/errors.ts";
import { isBeingRead } from "./file-source.ts";
import { ioError, withIoErrors } from "./io-errors.ts";
import { checkNames, checkSpace, checkTarget, makeFolder } from "./output-checks.ts";
import { forgetTemporary, removeTemporary, temporaryPath } from "./temporaries.ts";

/** How a model is written. */
export interface WriteModelOptions {
  /**
   * Weights in files of their own: where, or `false` for never. By default `NAME_data` beside the model when it was
   * read with external data or would pass 2 GiB.
   */
  readonly external?: (Omit<ExternalOptions, "location"> & { readonly location?: string }) | false;
  /** Aborting stops the writing with code "cancelled". */
  readonly signal?: AbortSignal;
}

/** A file that is in its place. */
export interface WrittenFile {
  readonly path: string;
  readonly size: number;
  /** Hexadecimal. */
  readonly sha256: string;
}

/** One file on its way: written under a temporary name, then renamed. */
interface Job {
  readonly file: OutputFile;
  readonly target: string;
  readonly temporary: string;
}

/** Room for the structure of a model beside its weights when deciding whether it fits a protobuf message. */
const STRUCTURE_BYTES = 64 * 1024 * 1024;

const weightBytes = (model: Model): number =>
  [...graphs(model.graph)].reduce(
    (sum, { graph }) => [...graph.tensors.values()].reduce((inner, { data }) => inner + data.size, sum),
    0,
  );

function encodeOptions(model: Model, name: string, external: WriteModelOptions["external"]): EncodeOptions {
  const location = `${name}_data`;
  if (external === false) return { name };
  if (external) return { name, external: { location, ...external } };
  if (isUnchanged(model)) return { name };
  const needed = hasExternalData(model) || weightBytes(model) > MAX_PROTO_BYTES - STRUCTURE_BYTES;
  return needed ? { name, external: { location } } : { name };
}

/** How each container becomes files. */
const ENCODERS: {
  readonly [C in ContainerName]?: (model: Model, name: string, external: WriteModelOptions["external"]) => EncodedModel;
} = {
  onnx: (model, name, external) => encodeOnnx(model, encodeOptions(model, name, external)),
  tflite: (model, name, external) =>
    external
      ? fail("usage", `"${name}": a TFLite model is one file; leave out external`)
      : encodeTflite(model, { name }),
};

const outputs = ({ main, external }: EncodedModel): readonly OutputFile[] => [...external, main];

/** Which of the model's own open files writing would replace. */
async function inTheWay(folder: string, encoded: EncodedModel): Promise<string | undefined> {
  for (const { name } of outputs(encoded)) if (await isBeingRead(join(folder, name))) return join(folder, name);
  return undefined;
}

/** The files to write; an unchanged model gets a new data file when its old one, in the same folder, is in the way. */
async function encodeFor(model: Model, path: string, options: WriteModelOptions): Promise<EncodedModel> {
  const name = basename(path);
  const folder = dirname(path);
  const encode =
    ENCODERS[model.container] ?? fail("unsupported", `a model of container ${model.container} can't be written`);
  const encoded = encode(model, name, options.external);
  const blocked = await inTheWay(folder, encoded);
  if (blocked === undefined) return encoded;
  if (options.external === undefined && isUnchanged(model) && blocked !== path) {
    const again = encodeOnnx(model, { name, external: { location: `${name}_data` } });
    if ((await inTheWay(folder, again)) === undefined) return again;
  }
  return fail("usage", `"${blocked}" is a file the model is being read from; choose another output path`);
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
async function replace({ temporary, target }: Job, backups: string[]): Promise<() => Promise<void>> {
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

async function replaceAll(jobs: readonly Job[]): Promise<void> {
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

async function writeAll(jobs: readonly Job[], options: WriteModelOptions): Promise<readonly WrittenFile[]> {
  const written: WrittenFile[] = [];
  for (const job of jobs) written.push(await withIoErrors("write", job.target, () => writeOne(job, options.signal)));
  await replaceAll(jobs);
  return written.reverse();
}

async function prepare(folder: string, encoded: EncodedModel, made: string[]): Promise<readonly Job[]> {
  checkNames(outputs(encoded));
  await checkSpace(folder, outputs(encoded));
  const jobs: Job[] = [];
  for (const file of outputs(encoded)) {
    const target = join(folder, file.name);
    await checkTarget(target);
    const topmost = await makeFolder(folder, target);
    if (topmost) made.push(topmost);
    jobs.push({ file, target, temporary: temporaryPath(dirname(target)) });
  }
  return jobs;
}

/**
 * Writes a model to `path`, with files of external data beside it where needed; returns the main file first. All files
 * are written under temporary names and renamed at the end: after an error ("io", "cancelled", ...) everything is as
 * before. Refuses paths of files that are open for reading, such as the model's own (code "usage").
 */
export async function writeModel(
  model: Model,
  path: string,
  options: WriteModelOptions = {},
): Promise<readonly WrittenFile[]> {
  const target = resolve(path);
  const made: string[] = [];
  let jobs: readonly Job[] = [];
  try {
    const encoded = await encodeFor(model, target, options);
    jobs = await prepare(dirname(target), encoded, made);
    return await writeAll(jobs, options);
  } catch (error) {
    for (const { temporary } of jobs) await removeTemporary(temporary);
    for (const folder of made.reverse()) await rm(folder, { recursive: true, force: true });
    throw ioError(error, "write", path);
  }
}
