/** Writes a planned GGUF model: threads encode pieces to their places in unfinished files, which then get their names. */
import { basename, dirname, resolve } from "node:path";
import type { TensorFile } from "../ir/tensor-file.ts";
import { fail } from "../numeric/errors.ts";
import { stopIfAborted } from "../pipeline/progress.ts";
import {
  checkAllImportance,
  layoutOf,
  type NamedImportance,
  type Noise,
  plannedTensors,
  type WeightsPlan,
} from "../pipeline/weights/index.ts";
import { follower } from "./encode-hash.ts";
import { type BegunJob, errorsOf, jobOf, type Part, partsOf } from "./encode-parts.ts";
import { writeFullySync } from "./encode-source.ts";
import { encodePieces } from "./encode-threads.ts";
import { isBeingRead } from "./file-source.ts";
import { ioError } from "./io-errors.ts";
import { resume } from "./journal-entries.ts";
import { checkSpace, checkTarget } from "./output-checks.ts";
import type { ResumableFile } from "./resumable-file.ts";
import { type Accept, replaceAll, type WrittenFile } from "./write-files.ts";

/** How a model is encoded. */
export interface EncodeFilesOptions {
  readonly path: string;
  /** Most bytes of one file; beyond, there are several, named like "model-00001-of-00003.gguf". */
  readonly maxBytes?: number;
  /** At least one; this thread is one of them. */
  readonly threads: number;
  readonly importance?: NamedImportance;
  /** Whether each file's SHA-256 is wanted: for simple types it takes a fifth of the time. */
  readonly sha256?: boolean;
  readonly signal: AbortSignal;
  /** Looks at the complete files before they get their names; what it throws leaves nothing. */
  readonly accept?: Accept;
  /** So many more bytes of the source are done. */
  readonly onBytes?: (bytes: number) => void;
  /** The file of a process that was killed is gone on with; so much of it is there, 0 to 1. */
  readonly onResume?: (share: number, name: string) => void;
}

/** A file that is in its place. */
type EncodedFile = Omit<WrittenFile, "sha256"> & Partial<Pick<WrittenFile, "sha256">>;

/** The files in order, and by tensor the difference that encoding made. */
export interface EncodedFiles {
  readonly written: readonly EncodedFile[];
  readonly errors: ReadonlyMap<string, Noise>;
}

/** A file that is complete but for its name. */
interface Ready {
  readonly file: ResumableFile;
  readonly written: EncodedFile;
  readonly errors: ReturnType<typeof errorsOf>;
}

async function encodeInto(
  { file, job }: BegunJob,
  { head, size, name }: Part,
  options: EncodeFilesOptions,
): Promise<string | undefined> {
  const { signal, threads, path, sha256 = false, onBytes = () => {} } = options;
  await checkSpace(dirname(file.path), [{ size: Math.max(0, size - file.allocated) }]);
  const share = file.entries && resume(job, file.entries);
  if (share !== undefined) options.onResume?.(share, name);
  const trail = follower(job, size, sha256);
  writeFullySync(file.fd, head, 0);
  await encodePieces(job, threads, { signal, what: `writing "${path}"`, onTurn: () => trail.follow(onBytes) });
  trail.follow(onBytes);
  return trail.digest();
}

async function encodePart(part: Part, options: EncodeFilesOptions, opened: ResumableFile[]): Promise<Ready> {
  const begun = await jobOf(part, options.importance?.path);
  opened.push(begun.file);
  const sha256 = await encodeInto(begun, part, options);
  begun.file.close();
  const written = { path: part.target, size: part.size, ...(sha256 !== undefined && { sha256 }) };
  return { file: begun.file, written, errors: errorsOf(begun.job) };
}

async function encodeParts(parts: readonly Part[], options: EncodeFilesOptions): Promise<EncodedFiles> {
  const opened: ResumableFile[] = [];
  try {
    const ready: Ready[] = [];
    for (const part of parts) ready.push(await encodePart(part, options, opened));
    for (const { file } of ready) file.cutJournal();
    await options.accept?.(ready.map(({ file, written }) => ({ name: basename(written.path), path: file.path })));
    await replaceAll(ready.map(({ file, written }) => ({ temporary: file.path, target: written.path })));
    return {
      written: ready.map(({ written }) => written),
      errors: new Map(ready.flatMap(({ errors }) => errors)),
    };
  } catch (error) {
    for (const { discard } of opened) await discard();
    throw error;
  }
}

async function checkOutput(target: string): Promise<void> {
  if (await isBeingRead(target))
    fail("usage", `"${target}" is a file the model is being read from; choose another output path`);
  await checkTarget(target);
}

/**
 * Writes the model that a plan describes to one file, or to several of a size. After an error or an abort nothing is left;
 * after a kill the next call with the same model and plan goes on where it was. Same bytes with any number of threads.
 */
export async function encodeFiles(
  weights: TensorFile,
  plan: WeightsPlan,
  options: EncodeFilesOptions,
): Promise<EncodedFiles> {
  const { path, importance, signal, maxBytes } = options;
  const target = resolve(path);
  if (!path.toLowerCase().endsWith(".gguf")) fail("usage", `"${path}" must end in .gguf, which is what is written`);
  const tensors = plannedTensors(weights, plan);
  await checkAllImportance(tensors, importance);
  stopIfAborted(signal);
  const layouts = layoutOf(weights, plan, { name: basename(target), ...(maxBytes !== undefined && { maxBytes }) });
  const parts = partsOf(layouts, tensors, dirname(target));
  try {
    for (const part of parts) await checkOutput(part.target);
    return await encodeParts(parts, options);
  } catch (error) {
    throw ioError(error, "write", path);
  }
}
