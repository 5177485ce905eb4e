/** Writes the weights of a folder of safetensors: threads encode rows to their places in the new files. */
import { closeSync, ftruncateSync, openSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { layoutSafetensors, type SafetensorsLayout } from "../containers/safetensors/index.ts";
import { collect } from "../ir/source.ts";
import type { TensorFile } from "../ir/tensor-file.ts";
import { type CompressedPlan, compressedTensors, plannedFile } from "../pipeline/compressed/index.ts";
import { stopIfAborted } from "../pipeline/progress.ts";
import { pieceOf } from "../pipeline/weights/cut.ts";
import { type CompressJob, compressJob } from "./compress-job.ts";
import { DONE, sharedViews, workAt } from "./encode-job.ts";
import { writeFullySync } from "./encode-source.ts";
import { encodePieces } from "./encode-threads.ts";
import { sha256File } from "./file-source.ts";
import { ioError } from "./io-errors.ts";
import { checkSpace } from "./output-checks.ts";
import type { WrittenFile } from "./write-files.ts";

/** How weights are written. */
export interface CompressFilesOptions {
  /** An empty folder; after an error what is in it is worth nothing. */
  readonly folder: string;
  /** At least one; this thread is one of them. */
  readonly threads: number;
  readonly signal: AbortSignal;
  /** So many more bytes of the source are done. */
  readonly onBytes: (bytes: number) => void;
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

/** A new file of its later size, with its header. */
function begin(path: string, { head, size }: SafetensorsLayout): number {
  const output = openSync(path, "wx");
  ftruncateSync(output, size);
  writeFullySync(output, head, 0);
  return output;
}

async function fill(
  weights: TensorFile,
  plan: CompressedPlan,
  layouts: readonly SafetensorsLayout[],
  { folder, threads, signal, onBytes }: CompressFilesOptions,
): Promise<void> {
  const { form, algorithm } = plan;
  const outputs: number[] = [];
  try {
    for (const layout of layouts) outputs.push(begin(join(folder, layout.name), layout));
    const job = await compressJob(compressedTensors(weights, plan), { form, algorithm }, layouts, outputs);
    const follow = follower(job, onBytes);
    await encodePieces(job, threads, { signal, what: `writing "${folder}"`, onTurn: follow });
    follow();
  } finally {
    outputs.forEach(closeSync);
  }
}

/** Writes the files of a plan, their index last where there are several. Same bytes with any number of threads. */
export async function compressFiles(
  weights: TensorFile,
  plan: CompressedPlan,
  options: CompressFilesOptions,
): Promise<readonly WrittenFile[]> {
  const { folder, signal } = options;
  const { layouts, index } = layoutSafetensors(plannedFile(plan), { maxBytes: plan.maxBytes });
  const files = [...layouts, ...index];
  try {
    await checkSpace(folder, files);
    await fill(weights, plan, layouts, options);
    for (const file of index) await writeFile(join(folder, file.name), await collect(file));
    const written: WrittenFile[] = [];
    for (const { name, size } of files) {
      stopIfAborted(signal);
      const path = join(folder, name);
      written.push({ path, size, sha256: await sha256File(path) });
    }
    return written;
  } catch (error) {
    throw ioError(error, "write", folder);
  }
}
