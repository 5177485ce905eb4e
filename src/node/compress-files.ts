/** Writes the weights of a folder of safetensors: threads encode rows to their places in the new files. */
import { closeSync, ftruncateSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { layoutSafetensors, type SafetensorsLayout } from "../containers/safetensors/index.ts";
import type { OutputFile } from "../containers/stream.ts";
import { collect } from "../ir/source.ts";
import type { TensorFile } from "../ir/tensor-file.ts";
import { type CompressedPlan, compressedTensors, plannedFile } from "../pipeline/compressed/index.ts";
import { stopIfAborted } from "../pipeline/progress.ts";
import { pieceOf } from "../pipeline/weights/cut.ts";
import { type CompressJob, compressJob, journalOf, type PlannedJob } from "./compress-job.ts";
import { DONE, sharedViews, workAt } from "./encode-job.ts";
import { openUnfinished, writeFullySync } from "./encode-source.ts";
import { encodePieces } from "./encode-threads.ts";
import { sha256File } from "./file-source.ts";
import { ioError } from "./io-errors.ts";
import { resume } from "./journal-entries.ts";
import { checkSpace, missingBytes } from "./output-checks.ts";
import { type FolderJournal, openFolderJournal } from "./resumable-folder.ts";
import type { WrittenFile } from "./write-files.ts";

/** How weights are written. */
export interface CompressFilesOptions {
  /** An empty folder, or one that a killed process left; after an error what is in it is worth nothing. */
  readonly folder: string;
  /** At least one; this thread is one of them. */
  readonly threads: number;
  readonly signal: AbortSignal;
  /** So many more bytes of the source are done. */
  readonly onBytes: (bytes: number) => void;
  /** The folder of a process that was killed is gone on with; so much of it is there, 0 to 1. */
  readonly onResume?: (share: number) => void;
}

/** Tells of the pieces that are done from the beginning without a gap, each once. */
function follower({ works, pieces, ...job }: CompressJob, onBytes: (bytes: number) => void): () => void {
  const { states } = sharedViews({ ...job, pieces });
  let [piece, at] = [0, 0];
  return () => {
    for (; piece < pieces && Atomics.load(states, piece) === DONE; piece++) {
      at = workAt(works, piece, at);
      const { cut, start } = works[at]!;
      onBytes(pieceOf(cut, piece - start).units * cut.before);
    }
  };
}

/** A file of its later size, with its header. */
function begin(path: string, { head, size }: SafetensorsLayout): number {
  const output = openUnfinished(path);
  ftruncateSync(output, size);
  writeFullySync(output, head, 0);
  return output;
}

async function fill(
  planned: PlannedJob,
  layouts: readonly SafetensorsLayout[],
  { place, entries }: FolderJournal,
  { folder, threads, signal, onBytes, onResume }: CompressFilesOptions,
): Promise<void> {
  const outputs: number[] = [];
  try {
    for (const layout of layouts) outputs.push(begin(join(folder, layout.name), layout));
    const job: CompressJob = { ...planned, outputs, journal: place };
    if (entries) onResume?.(resume(job, entries));
    const follow = follower(job, onBytes);
    await encodePieces(job, threads, { signal, what: `writing "${folder}"`, onTurn: follow });
    follow();
  } finally {
    outputs.forEach(closeSync);
  }
}

async function summed(
  folder: string,
  files: readonly Pick<OutputFile, "name" | "size">[],
  signal: AbortSignal,
): Promise<readonly WrittenFile[]> {
  const written: WrittenFile[] = [];
  for (const { name, size } of files) {
    stopIfAborted(signal);
    const path = join(folder, name);
    written.push({ path, size, sha256: await sha256File(path) });
  }
  return written;
}

/**
 * Writes the files of a plan, their index last where there are several. Same bytes with any number of threads, and where it
 * goes on with a folder in which a process with the same plan and source was killed. The journal stays there.
 */
export async function compressFiles(
  weights: TensorFile,
  plan: CompressedPlan,
  options: CompressFilesOptions,
): Promise<readonly WrittenFile[]> {
  const { folder, signal } = options;
  const { form, algorithm, maxBytes } = plan;
  const { layouts, index } = layoutSafetensors(plannedFile(plan), { maxBytes });
  const files = [...layouts, ...index];
  try {
    const planned = await compressJob(compressedTensors(weights, plan), { form, algorithm }, layouts);
    const names = layouts.map(({ name }) => name);
    const journal = await openFolderJournal(folder, names, journalOf(planned, layouts));
    try {
      await checkSpace(folder, await missingBytes(folder, files));
      await fill(planned, layouts, journal, options);
    } finally {
      journal.close();
    }
    for (const file of index) await writeFile(join(folder, file.name), await collect(file));
    return await summed(folder, files, signal);
  } catch (error) {
    throw ioError(error, "write", folder);
  }
}
