/** What threads share while they encode a model: the work as plain data, and one memory for who does what and what is done. */
import type { TensorWork } from "../pipeline/weights/cut.ts";
import type { SourceFile } from "./encode-source.ts";
import type { EntriesPlace } from "./journal-entries.ts";

/** One tensor: what is done, and where its bytes lie. */
export interface PlacedWork extends TensorWork {
  /** Number of the source file. */
  readonly file: number;
  /** Byte of the source, and of the new file, at which the tensor begins. */
  readonly source: number;
  readonly target: number;
  /** Number of its first piece, counted over all tensors. */
  readonly start: number;
}

/** What every job for threads has: pieces, and memory for what is done of them. */
export interface PieceJob {
  readonly pieces: number;
  readonly shared: SharedArrayBuffer;
}

/** Everything a thread needs to encode GGUF. */
export interface EncodeJob extends PieceJob {
  readonly kind: "gguf";
  readonly works: readonly PlacedWork[];
  readonly files: readonly SourceFile[];
  /** File descriptor of the new file: threads of a process share them. */
  readonly output: number;
  readonly journal: EntriesPlace;
  /** File of the importance matrix. */
  readonly imatrix?: string;
}

/** Bytes of one entry of the journal: signal and noise as float64, checksum of the piece and of the entry as uint32. */
export const ENTRY_BYTES = 24;
const CONTROL_BYTES = 16;

/** Places of `control`. */
export const [NEXT, STOP] = [0, 1];

/** What a piece is: to be done, done according to the journal of a process that was killed, or done. */
export const [OPEN, CLAIMED, DONE] = [0, 1, 2];

/** Views of the shared memory. */
export interface Shared {
  /** Number of the next piece that nobody works on, and whether all should stop. */
  readonly control: Int32Array;
  /** The journal: one entry per piece. */
  readonly entries: Uint8Array;
  /** The same memory as numbers. */
  readonly numbers: Float64Array;
  readonly words: Uint32Array;
  readonly states: Uint8Array;
}

/** Memory for so many pieces. */
export const sharedBuffer = (pieces: number): SharedArrayBuffer =>
  new SharedArrayBuffer(CONTROL_BYTES + pieces * (ENTRY_BYTES + 1));

/** Views of a job's memory. */
export function sharedViews({ shared, pieces }: PieceJob): Shared {
  return {
    control: new Int32Array(shared, 0, CONTROL_BYTES / 4),
    entries: new Uint8Array(shared, CONTROL_BYTES, pieces * ENTRY_BYTES),
    numbers: new Float64Array(shared, CONTROL_BYTES, (pieces * ENTRY_BYTES) / 8),
    words: new Uint32Array(shared, CONTROL_BYTES, (pieces * ENTRY_BYTES) / 4),
    states: new Uint8Array(shared, CONTROL_BYTES + pieces * ENTRY_BYTES, pieces),
  };
}

/** The next piece, or -1 where there is none or all should stop. */
export function claim({ control }: Shared, pieces: number): number {
  if (Atomics.load(control, STOP) !== 0) return -1;
  const piece = Atomics.add(control, NEXT, 1);
  return piece < pieces ? piece : -1;
}

/** The place of a piece: its tensor, searched from `near` on, where the last one was. */
export function workAt(works: readonly Pick<PlacedWork, "start">[], piece: number, near: number): number {
  let at = near;
  while (at + 1 < works.length && works[at + 1]!.start <= piece) at++;
  return at;
}
