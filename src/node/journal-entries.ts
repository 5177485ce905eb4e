/** What the journal of an unfinished file or folder says of each piece: what was measured, and checksums. */
import { checksum, type Noise } from "../kernels/ggml/index.ts";
import { CLAIMED, ENTRY_BYTES, type PieceJob, type Shared, sharedViews } from "./encode-job.ts";
import { writeFullySync } from "./encode-source.ts";

/** The entry of a piece. */
const entryOf = ({ entries }: Shared, piece: number): Uint8Array =>
  entries.subarray(piece * ENTRY_BYTES, (piece + 1) * ENTRY_BYTES);

/** What was measured of a piece that is done. */
export const noiseOf = ({ numbers }: Shared, piece: number): Noise => ({
  signal: numbers[3 * piece]!,
  noise: numbers[3 * piece + 1]!,
});

const PIECE_SUM = 4;
const ENTRY_SUM = 5;
const WORDS = 6;

/** Sum over an entry but itself. */
const sumOf = (shared: Shared, piece: number): number => checksum(entryOf(shared, piece).subarray(0, ENTRY_SUM * 4));

/** Where the entries of a journal lie in an open file. */
export interface EntriesPlace {
  readonly fd: number;
  readonly at: number;
}

/** Enters a piece that was written, in memory and in the file; `sum` is the checksum of its bytes. */
export function enter(
  shared: Shared,
  piece: number,
  { signal, noise }: Noise,
  sum: number,
  { fd, at }: EntriesPlace,
): void {
  shared.numbers[3 * piece] = signal;
  shared.numbers[3 * piece + 1] = noise;
  shared.words[WORDS * piece + PIECE_SUM] = sum;
  shared.words[WORDS * piece + ENTRY_SUM] = sumOf(shared, piece);
  writeFullySync(fd, Uint8Array.from(entryOf(shared, piece)), at + piece * ENTRY_BYTES);
}

/** Whether an entry of the journal is whole; of a piece that was never written it is not. */
const isEntered = (shared: Shared, piece: number): boolean =>
  shared.words[WORDS * piece + ENTRY_SUM] === sumOf(shared, piece);

/** Whether an entry was made for bytes of this checksum. */
export const isOf = (shared: Shared, piece: number, sum: number): boolean =>
  shared.words[WORDS * piece + PIECE_SUM] === sum;

/** Takes over what the journal of a killed process holds; the threads check it piece by piece. Returns its share. */
export function resume(job: PieceJob, entries: Uint8Array): number {
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
