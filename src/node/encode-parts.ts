/** From a plan to jobs for threads: one for each file that is written. */
import { join } from "node:path";
import type { GgufLayout } from "../containers/gguf/index.ts";
import { addNoise, countPieces, type Noise, type PlannedTensor, silence } from "../pipeline/weights/index.ts";
import { type EncodeJob, type PlacedWork, sharedBuffer, sharedViews } from "./encode-job.ts";
import { noiseOf } from "./journal-entries.ts";
import { digestOf } from "./journal-file.ts";
import { openResumable, type ResumableFile } from "./resumable-file.ts";
import { sourceNumbers, stamped } from "./source-files.ts";

function placed(tensors: readonly PlannedTensor[], offsets: readonly number[]): readonly PlacedWork[] {
  const files = sourceNumbers(tensors.map(({ tensor }) => tensor));
  let start = 0;
  return tensors.map(({ tensor, work }, i) => {
    const { path, offset } = tensor.data.place!;
    const own = { ...work, file: files.get(path)!, source: offset, target: offsets[i]!, start };
    start += countPieces(work.cut);
    return own;
  });
}

/** One file of the model and what goes into it. */
export interface Part extends GgufLayout {
  readonly target: string;
  readonly tensors: readonly PlannedTensor[];
}

/** Layouts hold the tensors in order, so their numbers say which are whose. */
export function partsOf(
  layouts: readonly GgufLayout[],
  tensors: readonly PlannedTensor[],
  folder: string,
): readonly Part[] {
  let first = 0;
  return layouts.map((layout) => {
    const own = tensors.slice(first, first + layout.offsets.length);
    first += own.length;
    return { ...layout, target: join(folder, layout.name), tensors: own };
  });
}

/** A job, and the unfinished file that it writes. */
export interface BegunJob {
  readonly file: ResumableFile;
  readonly job: EncodeJob;
}

/** Opens the unfinished file of a part, new or of a process that was killed. */
export async function jobOf(
  { head, offsets, size, target, tensors }: Part,
  imatrix: string | undefined,
): Promise<BegunJob> {
  const works = placed(tensors, offsets);
  const files = await stamped([...sourceNumbers(tensors.map(({ tensor }) => tensor)).keys()]);
  const importance = imatrix === undefined ? [] : await stamped([imatrix]);
  const pieces = works.reduce((sum, { cut }) => sum + countPieces(cut), 0);
  const stamps = [...files, ...importance].map(({ stamp }) => stamp);
  // what the content of the new file follows from
  const digest = digestOf([head, JSON.stringify(works), JSON.stringify(stamps)]);
  const file = await openResumable({ target, size, pieces, digest });
  const job: EncodeJob = {
    kind: "gguf",
    ...{ works, files, pieces, shared: sharedBuffer(pieces), output: file.fd, journal: file.journal },
    ...(imatrix !== undefined && { imatrix }),
  };
  return { file, job };
}

/** By tensor: the difference that encoding made. */
export function errorsOf(job: EncodeJob): readonly (readonly [string, Noise])[] {
  const shared = sharedViews(job);
  const encoded = job.works.filter(({ encoding }) => encoding !== undefined);
  return encoded.map(({ name, start, cut }) => {
    const own = Array.from({ length: countPieces(cut) }, (_, i) => noiseOf(shared, start + i));
    return [name, own.reduce(addNoise, silence)];
  });
}
