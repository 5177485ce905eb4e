/** From the plan of a folder of safetensors to a job for threads. */
import { resolve } from "node:path";
import type { SafetensorsLayout } from "../containers/safetensors/index.ts";
import type { CompressedEncoding, CompressedTensor, CompressedWork } from "../pipeline/compressed/index.ts";
import { countPieces } from "../pipeline/weights/index.ts";
import { type PieceJob, sharedBuffer } from "./encode-job.ts";
import type { SourceFile } from "./encode-source.ts";
import type { EntriesPlace } from "./journal-entries.ts";
import { digestOf, type JournalOf } from "./journal-file.ts";
import { sourceNumbers, stamped } from "./source-files.ts";

/** Where a part goes. */
export interface Place {
  /** Number of the new file, and its byte at which the part begins. */
  readonly output: number;
  readonly target: number;
}

/** One tensor: what is done, where its bytes lie, and where those of its parts go, in their order. */
export interface PlacedTensor extends CompressedWork {
  /** Number of the source file, and its byte at which the tensor begins. */
  readonly file: number;
  readonly source: number;
  /** Number of its first piece, counted over all tensors. */
  readonly start: number;
  readonly places: readonly Place[];
}

/** Everything a thread needs to encode safetensors. */
export interface CompressJob extends PieceJob {
  readonly kind: "safetensors";
  readonly works: readonly PlacedTensor[];
  readonly encoding: CompressedEncoding;
  readonly files: readonly SourceFile[];
  /** File descriptors of the new files: threads of a process share them. */
  readonly outputs: readonly number[];
  readonly journal: EntriesPlace;
}

/** A job whose files are not open yet. */
export type PlannedJob = Omit<CompressJob, "outputs" | "journal">;

const placesOf = (layouts: readonly SafetensorsLayout[]): ReadonlyMap<string, Place> =>
  new Map(
    layouts.flatMap(({ offsets }, output) => [...offsets].map(([name, target]) => [name, { output, target }] as const)),
  );

/** The job that fills the files of `layouts`. */
export async function compressJob(
  tensors: readonly CompressedTensor[],
  encoding: CompressedEncoding,
  layouts: readonly SafetensorsLayout[],
): Promise<PlannedJob> {
  const numbers = sourceNumbers(tensors.map(({ tensor }) => tensor));
  const places = placesOf(layouts);
  let pieces = 0;
  const works = tensors.map(({ tensor, work }): PlacedTensor => {
    const { path, offset } = tensor.data.place!;
    const start = pieces;
    pieces += countPieces(work.cut);
    const own = work.parts.map(({ name }) => places.get(name)!);
    return { ...work, file: numbers.get(path)!, source: offset, start, places: own };
  });
  const files = await stamped([...numbers.keys()]);
  return { kind: "safetensors", works, encoding, files, pieces, shared: sharedBuffer(pieces) };
}

/** What the journal of a job is of: all that the content of the new files follows from. */
export function journalOf(
  { works, encoding, files, pieces }: PlannedJob,
  layouts: readonly SafetensorsLayout[],
): JournalOf {
  const sources = files.map(({ path, stamp }) => [resolve(path), stamp]);
  const heads = layouts.flatMap(({ name, head }) => [name, head]);
  return { pieces, digest: digestOf([...heads, JSON.stringify([works, encoding, sources])]) };
}
