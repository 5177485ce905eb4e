/** Writes a planned GGUF model: threads encode pieces to their places in unfinished files, which then get their names. */
import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import type { GgufLayout } from "../containers/gguf/index.ts";
import type { TensorFile } from "../ir/tensor-file.ts";
import { fail } from "../numeric/errors.ts";
import { stopIfAborted } from "../pipeline/progress.ts";
import {
  addNoise,
  checkAllImportance,
  countPieces,
  layoutOf,
  type NamedImportance,
  type Noise,
  type PlannedTensor,
  pieceOf,
  plannedTensors,
  silence,
  type WeightsPlan,
} from "../pipeline/weights/index.ts";
import {
  CLAIMED,
  DONE,
  type EncodeJob,
  isEntered,
  noiseOf,
  type PlacedWork,
  type SourceFile,
  sharedBuffer,
  sharedViews,
  workAt,
} from "./encode-job.ts";
import { readFullySync, writeFullySync } from "./encode-pieces.ts";
import { encodePieces } from "./encode-threads.ts";
import { isBeingRead, stampOf } from "./file-source.ts";
import { ioError } from "./io-errors.ts";
import { checkSpace, checkTarget } from "./output-checks.ts";
import { digestOf, openResumable, type ResumableFile } from "./resumable-file.ts";
import { type Accept, replaceAll, type WrittenFile } from "./write-files.ts";

/** How a model is encoded. */
export interface EncodeFilesOptions {
  readonly path: string;
  /** Most bytes of one file; beyond, there are several, named like "model-00001-of-00003.gguf". */
  readonly maxBytes?: number;
  /** At least one; this thread is one of them. */
  readonly threads: number;
  readonly importance?: NamedImportance;
  readonly signal: AbortSignal;
  /** Looks at the complete files before they get their names; what it throws leaves nothing. */
  readonly accept?: Accept;
  /** So many more bytes of the source are done. */
  readonly onBytes?: (bytes: number) => void;
  /** The file of a process that was killed is gone on with; so much of it is there, 0 to 1. */
  readonly onResume?: (share: number, name: string) => void;
}

/** The files in order, and by tensor the difference that encoding made. */
export interface EncodedFiles {
  readonly written: readonly WrittenFile[];
  readonly errors: ReadonlyMap<string, Noise>;
}

/** Numbers of the source files, in the order in which tensors name them. */
function sourceFiles(tensors: readonly PlannedTensor[]): ReadonlyMap<string, number> {
  const numbers = new Map<string, number>();
  for (const { tensor } of tensors) {
    const { path } = tensor.data.place ?? fail("unsupported", `tensor "${tensor.name}" lies in no file`);
    if (!numbers.has(path)) numbers.set(path, numbers.size);
  }
  return numbers;
}

function placed(tensors: readonly PlannedTensor[], offsets: readonly number[]): readonly PlacedWork[] {
  const files = sourceFiles(tensors);
  let start = 0;
  return tensors.map(({ tensor, work }, i) => {
    const { path, offset } = tensor.data.place!;
    const own = { ...work, file: files.get(path)!, source: offset, target: offsets[i]!, start };
    start += countPieces(work.cut);
    return own;
  });
}

const stamped = (paths: readonly string[]): Promise<readonly SourceFile[]> =>
  Promise.all(paths.map(async (path) => ({ path, stamp: stampOf(await stat(path, { bigint: true })) })));

/** The end of a piece in the new file. */
function endOf(works: readonly PlacedWork[], at: number, piece: number): number {
  const { cut, start, target } = works[at]!;
  const { first, units } = pieceOf(cut, piece - start);
  return target + (first + units) * cut.after;
}

const READ_BYTES = 1 << 20;

/** SHA-256 of what is written, following the pieces that are done from the beginning without a gap. */
function follower({ works, output, pieces, ...job }: EncodeJob, size: number) {
  const { states } = sharedViews({ ...job, pieces });
  const [hash, room] = [createHash("sha256"), Buffer.allocUnsafeSlow(READ_BYTES)];
  let [piece, at, hashed] = [0, 0, 0];
  const upTo = (end: number): void => {
    while (hashed < end) {
      const bytes = room.subarray(0, Math.min(READ_BYTES, end - hashed));
      readFullySync(output, "the unfinished file", bytes, hashed);
      hash.update(bytes);
      hashed += bytes.length;
    }
  };
  return {
    /** Takes in the pieces that are done; each is told of with the bytes of its source. */
    follow(onPiece: (bytes: number) => void): void {
      for (; piece < pieces && Atomics.load(states, piece) === DONE; piece++) {
        at = workAt(works, piece, at);
        upTo(endOf(works, at, piece));
        const { cut, start } = works[at]!;
        onPiece(pieceOf(cut, piece - start).units * cut.before);
      }
    },
    digest(): string {
      upTo(size);
      return hash.digest("hex");
    },
  };
}

/** Takes over what the journal of a killed process holds; the threads check it piece by piece. Returns its share. */
function resume(job: EncodeJob, entries: Uint8Array): number {
  const shared = sharedViews(job);
  shared.entries.set(entries);
  let found = 0;
  for (let piece = 0; piece < job.pieces; piece++) {
    if (!isEntered(shared, piece)) continue;
    shared.states[piece] = CLAIMED;
    found++;
  }
  return job.pieces === 0 ? 0 : found / job.pieces;
}

function errorsOf(job: EncodeJob): readonly (readonly [string, Noise])[] {
  const shared = sharedViews(job);
  const encoded = job.works.filter(({ encoding }) => encoding !== undefined);
  return encoded.map(({ name, start, cut }) => {
    const own = Array.from({ length: countPieces(cut) }, (_, i) => noiseOf(shared, start + i));
    return [name, own.reduce(addNoise, silence)];
  });
}

/** One file of the model and what goes into it. */
interface Part extends GgufLayout {
  readonly target: string;
  readonly tensors: readonly PlannedTensor[];
}

/** Layouts hold the tensors in order, so their numbers say which are whose. */
function partsOf(layouts: readonly GgufLayout[], tensors: readonly PlannedTensor[], folder: string): readonly Part[] {
  let first = 0;
  return layouts.map((layout) => {
    const own = tensors.slice(first, first + layout.offsets.length);
    first += own.length;
    return { ...layout, target: join(folder, layout.name), tensors: own };
  });
}

/** A file that is complete but for its name. */
interface Ready {
  readonly file: ResumableFile;
  readonly written: WrittenFile;
  readonly errors: ReturnType<typeof errorsOf>;
}

async function jobOf({ head, offsets, size, target, tensors }: Part, { importance }: EncodeFilesOptions) {
  const works = placed(tensors, offsets);
  const files = await stamped([...sourceFiles(tensors).keys()]);
  const imatrix = importance && (await stamped([importance.path]));
  const pieces = works.reduce((sum, { cut }) => sum + countPieces(cut), 0);
  const stamps = [...files, ...(imatrix ?? [])].map(({ stamp }) => stamp);
  // what the content of the new file follows from
  const digest = digestOf([head, JSON.stringify(works), JSON.stringify(stamps)]);
  const file = await openResumable({ target, size, pieces, digest });
  const job: EncodeJob = {
    ...{ works, files, pieces, shared: sharedBuffer(pieces), output: file.fd, journal: file.journal },
    ...(importance && { imatrix: importance.path }),
  };
  return { file, job };
}

async function encodeInto(
  { file, job }: Awaited<ReturnType<typeof jobOf>>,
  { head, size, name }: Part,
  options: EncodeFilesOptions,
): Promise<string> {
  const { signal, threads, path, onBytes = () => {} } = options;
  await checkSpace(dirname(file.path), [{ size: Math.max(0, size - file.allocated) }]);
  if (file.entries !== undefined) options.onResume?.(resume(job, file.entries), name);
  const hash = follower(job, size);
  writeFullySync(file.fd, head, 0);
  await encodePieces(job, threads, { signal, what: `writing "${path}"`, onTurn: () => hash.follow(onBytes) });
  hash.follow(onBytes);
  return hash.digest();
}

async function encodePart(part: Part, options: EncodeFilesOptions, opened: ResumableFile[]): Promise<Ready> {
  const begun = await jobOf(part, options);
  opened.push(begun.file);
  const sha256 = await encodeInto(begun, part, options);
  begun.file.close();
  return { file: begun.file, written: { path: part.target, size: part.size, sha256 }, errors: errorsOf(begun.job) };
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
