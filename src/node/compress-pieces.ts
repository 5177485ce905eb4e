/** What one thread does for a folder of safetensors: takes rows of a matrix and writes what they become to its places. */
import type { PartKind } from "../containers/compressed-tensors/index.ts";
import { type EncodedRows, encodeRows } from "../pipeline/compressed/encode.ts";
import { rangeOf } from "../pipeline/compressed/work.ts";
import { type Piece, pieceOf } from "../pipeline/weights/cut.ts";
import { silence } from "../pipeline/weights/encode.ts";
import type { CompressJob, PlacedTensor } from "./compress-job.ts";
import { CLAIMED, DONE, sharedViews, workAt } from "./encode-job.ts";
import { named, type PieceRunner, readFullySync, sourceReader, writeFullySync } from "./encode-source.ts";
import { enter, isOf } from "./journal-entries.ts";

/** Bytes `from` to `to` of what a piece becomes, and their place in a new file. */
interface Span {
  readonly kind: PartKind;
  readonly from: number;
  readonly to: number;
  readonly fd: number;
  readonly offset: number;
}

/** What a piece becomes, part behind part. */
function spansOf({ outputs }: CompressJob, { parts, places, cut }: PlacedTensor, piece: Piece): readonly Span[] {
  let to = 0;
  return parts.map((part, i): Span => {
    const [{ output, target }, from] = [places[i]!, to];
    const [begin, end] = rangeOf(part, piece, cut);
    to += end - begin;
    return { kind: part.kind, from, to, fd: outputs[output]!, offset: target + begin };
  });
}

/** Room for bytes, the same on every call; plain memory, since growing that of WebAssembly slows all typed arrays of V8. */
function reusedRoom(): (size: number) => Uint8Array<ArrayBuffer> {
  let room = new Uint8Array();
  return (size) => {
    if (room.length < size) room = new Uint8Array(size);
    return room.subarray(0, size);
  };
}

/** The parts behind each other, as their checksum is made of them. */
function join(made: EncodedRows, spans: readonly Span[], into: Uint8Array): void {
  for (const { kind, from, to } of spans) if (to > from) into.set(made[kind]!, from);
}

/** Reads what lies in the places of a piece. */
function readBack(spans: readonly Span[], into: Uint8Array): void {
  for (const { fd, from, to, offset } of spans)
    readFullySync(fd, "the unfinished file", into.subarray(from, to), offset);
}

/** A runner with files and room of its own. Errors are `FewbitError`s that name the tensor. */
export function compressRunner(job: CompressJob): PieceRunner {
  const shared = sharedViews(job);
  const source = sourceReader(job.files);
  const [sourceRoom, madeRoom] = [reusedRoom(), reusedRoom()];
  let at = 0;
  const isThere = (number: number, spans: readonly Span[], room: Uint8Array): boolean => {
    if (shared.states[number] !== CLAIMED) return false;
    readBack(spans, room);
    return isOf(shared, number, room);
  };
  const work = (number: number): number => {
    const own = job.works[at]!;
    const { cut, matrix } = own;
    const piece = pieceOf(cut, number - own.start);
    const size = piece.units * cut.before;
    const spans = spansOf(job, own, piece);
    const made = madeRoom(spans.at(-1)!.to);
    if (isThere(number, spans, made)) return size;
    const bytes = matrix ? sourceRoom(size) : made;
    source.read(own.file, bytes, own.source + piece.first * cut.before);
    const range = { row: piece.first, rows: piece.units };
    if (matrix) join(encodeRows(bytes, matrix, range, job.encoding), spans, made);
    for (const { fd, from, to, offset } of spans) writeFullySync(fd, made.subarray(from, to), offset);
    enter(shared, number, silence, made, job.journal);
    return size;
  };
  return {
    async run(number) {
      at = workAt(job.works, number, at);
      try {
        const bytes = work(number);
        Atomics.store(shared.states, number, DONE);
        return bytes;
      } catch (error) {
        throw named(error, job.works[at]!.name);
      }
    },
    close: () => source.close(),
  };
}
