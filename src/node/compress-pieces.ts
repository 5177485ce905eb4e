/** What one thread does for a folder of safetensors: takes rows of a matrix and writes what they become to its places. */
import type { PartKind } from "../containers/compressed-tensors/index.ts";
import { type EncodedRows, encodeRows } from "../pipeline/compressed/encode.ts";
import { rangeOf } from "../pipeline/compressed/work.ts";
import { type Piece, pieceOf } from "../pipeline/weights/cut.ts";
import { silence } from "../pipeline/weights/encode.ts";
import type { CompressJob, PlacedTensor } from "./compress-job.ts";
import { CLAIMED, DONE, sharedViews, workAt } from "./encode-job.ts";
import { named, type PieceRunner, readFullySync, sourceReader, writeFullySync } from "./encode-source.ts";
import { byteRoom, enter, isOf } from "./journal-entries.ts";

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

/** Bytes of all parts. */
const sizeOf = (spans: readonly Span[]): number => spans.at(-1)?.to ?? 0;

/** The parts behind each other, as their checksum is made of them. */
function joined(made: EncodedRows, spans: readonly Span[]): Uint8Array {
  const bytes = byteRoom(sizeOf(spans));
  for (const { kind, from, to } of spans) if (to > from) bytes.set(made[kind]!, from);
  return bytes;
}

/** What lies in the places of a piece. */
function readBack(spans: readonly Span[]): Uint8Array {
  const bytes = byteRoom(sizeOf(spans));
  for (const { fd, from, to, offset } of spans)
    readFullySync(fd, "the unfinished file", bytes.subarray(from, to), offset);
  return bytes;
}

/** A runner with files and room of its own. Errors are `FewbitError`s that name the tensor. */
export function compressRunner(job: CompressJob): PieceRunner {
  const shared = sharedViews(job);
  const source = sourceReader(job.files);
  let room = new Uint8Array();
  let at = 0;
  const roomFor = (size: number): Uint8Array => {
    if (room.length < size) room = new Uint8Array(size);
    return room.subarray(0, size);
  };
  const work = (number: number): number => {
    const own = job.works[at]!;
    const { cut, matrix } = own;
    const piece = pieceOf(cut, number - own.start);
    const size = piece.units * cut.before;
    const spans = spansOf(job, own, piece);
    if (shared.states[number] === CLAIMED && isOf(shared, number, readBack(spans))) return size;
    const bytes = matrix ? roomFor(size) : byteRoom(size);
    source.read(own.file, bytes, own.source + piece.first * cut.before);
    const range = { row: piece.first, rows: piece.units };
    const made = matrix ? joined(encodeRows(bytes, matrix, range, job.encoding), spans) : bytes;
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
