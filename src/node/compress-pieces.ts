/** What one thread does for a folder of safetensors: takes rows of a matrix and writes what they become to its places. */
import type { PartKind } from "../containers/compressed-tensors/index.ts";
import { checksum } from "../kernels/ggml/index.ts";
import { bytesOf } from "../numeric/convert.ts";
import { encodeRows } from "../pipeline/compressed/encode.ts";
import { rangeOf } from "../pipeline/compressed/work.ts";
import { type Piece, pieceOf } from "../pipeline/weights/cut.ts";
import { silence } from "../pipeline/weights/encode.ts";
import type { CompressJob, PlacedTensor } from "./compress-job.ts";
import { CLAIMED, DONE, sharedViews, workAt } from "./encode-job.ts";
import { named, type PieceRunner, readFullySync, sourceReader, writeFullySync } from "./encode-source.ts";
import { enter, isOf } from "./journal-entries.ts";

/** One of the tensors that a piece writes to: the place and number of its bytes in a new file. */
interface Span {
  readonly kind: PartKind;
  readonly fd: number;
  readonly offset: number;
  readonly length: number;
}

function spansOf({ outputs }: CompressJob, { parts, places, cut }: PlacedTensor, piece: Piece): readonly Span[] {
  const spans = parts.map((part, i): Span => {
    const { output, target } = places[i]!;
    const [begin, end] = rangeOf(part, piece, cut);
    return { kind: part.kind, fd: outputs[output]!, offset: target + begin, length: end - begin };
  });
  return spans.filter(({ length }) => length > 0);
}

/** Checksum of all that a piece writes, in plain memory: when that of WebAssembly grows, V8 slows all typed arrays. */
const sumOf = (parts: readonly Uint8Array[]): number => checksum(bytesOf(Uint32Array.from(parts, checksum)));

function readBack({ fd, offset, length }: Span): Uint8Array {
  const bytes = new Uint8Array(length);
  readFullySync(fd, "the unfinished file", bytes, offset);
  return bytes;
}

/** A runner with files and room of its own. Errors are `FewbitError`s that name the tensor. */
export function compressRunner(job: CompressJob): PieceRunner {
  const shared = sharedViews(job);
  const source = sourceReader(job.files);
  let room = new Uint8Array();
  let at = 0;
  const work = (number: number): number => {
    const own = job.works[at]!;
    const { cut, matrix } = own;
    const piece = pieceOf(cut, number - own.start);
    const size = piece.units * cut.before;
    const spans = spansOf(job, own, piece);
    if (shared.states[number] === CLAIMED && isOf(shared, number, sumOf(spans.map(readBack)))) return size;
    if (room.length < size) room = new Uint8Array(size);
    const bytes = room.subarray(0, size);
    source.read(own.file, bytes, own.source + piece.first * cut.before);
    const range = { row: piece.first, rows: piece.units };
    const made = matrix ? encodeRows(bytes, matrix, range, job.encoding) : { codes: bytes };
    const written = spans.map(({ kind }) => made[kind]!);
    for (const [i, { fd, offset }] of spans.entries()) writeFullySync(fd, written[i]!, offset);
    enter(shared, number, silence, sumOf(written), job.journal);
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
