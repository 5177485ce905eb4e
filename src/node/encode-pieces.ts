/** What one thread does: takes pieces of the source, encodes them and writes them to their places in the new file. */
import { checksum, ggmlBuffers } from "../kernels/ggml/index.ts";
import { checkCopied } from "../pipeline/weights/copied.ts";
import { type Piece, pieceOf } from "../pipeline/weights/cut.ts";
import { type EncodedPiece, type PieceEncoder, pieceEncoder, silence } from "../pipeline/weights/encode.ts";
import type { NamedImportance } from "../pipeline/weights/plan.ts";
import { CLAIMED, DONE, type EncodeJob, type PlacedWork, type Shared, sharedViews, workAt } from "./encode-job.ts";
import { named, type PieceRunner, readFullySync, sourceReader, writeFullySync } from "./encode-source.ts";
import { enter, isOf } from "./journal-entries.ts";

/** Room for bytes that are copied, where the kernels work. */
const byteRoom = (count: number): Uint8Array => ggmlBuffers(Math.ceil(count / 4)).output.subarray(0, count);

/** Importance of the tensor that is worked on; the file is opened when it is first wanted. */
function importanceReader({ imatrix }: EncodeJob) {
  let importance: NamedImportance | undefined;
  let close = async (): Promise<void> => {};
  return {
    async read(work: PlacedWork): Promise<Float32Array | undefined> {
      if (imatrix === undefined || work.encoding === undefined) return undefined;
      const { importanceFor } = await import("../pipeline/weights/work.ts");
      const { openImportance } = await import("./open-importance.ts");
      if (importance === undefined) ({ importance, close } = await openImportance(imatrix));
      return importanceFor(work, importance);
    },
    close: () => close(),
  };
}

/** Reads a piece by `read` and makes what it becomes, with the error of what was measured of it. */
function convert(
  work: PlacedWork,
  piece: Piece,
  read: (into: Uint8Array) => void,
  importance: Float32Array | undefined,
  encoder: PieceEncoder,
): EncodedPiece {
  const { encoding, name, type } = work;
  if (encoding === undefined) {
    const copied = byteRoom(piece.units);
    read(copied);
    checkCopied(name, type, copied, piece.first);
    return { bytes: copied, noise: silence };
  }
  const encoded = { ...work, encoding };
  read(encoder.source(encoded, piece));
  return encoder.encode(encoded, piece, importance);
}

/** Whether a piece of a process that was killed is in its place; what is not gets done again. */
function isThere(job: EncodeJob, shared: Shared, number: number, bytes: Uint8Array, offset: number): boolean {
  if (shared.states[number] !== CLAIMED) return false;
  readFullySync(job.output, "the unfinished file", bytes, offset);
  return isOf(shared, number, checksum(bytes));
}

/** A runner with files and room of its own. Errors are `FewbitError`s that name the tensor. */
export function pieceRunner(job: EncodeJob): PieceRunner {
  const shared = sharedViews(job);
  const [source, importance] = [sourceReader(job.files), importanceReader(job)];
  const encoder = pieceEncoder();
  let [at, weighted] = [0, -1];
  let weights: Float32Array | undefined;
  const work = async (number: number): Promise<number> => {
    const own = job.works[at]!;
    const { cut, start, target, file } = own;
    const piece = pieceOf(cut, number - start);
    const [size, offset] = [piece.units * cut.before, target + piece.first * cut.after];
    if (isThere(job, shared, number, byteRoom(piece.units * cut.after), offset)) return size;
    if (weighted !== at) [weights, weighted] = [await importance.read(own), at];
    const read = (into: Uint8Array): void => source.read(file, into, own.source + piece.first * cut.before);
    const { bytes, noise } = convert(own, piece, read, weights, encoder);
    writeFullySync(job.output, bytes, offset);
    enter(shared, number, noise, checksum(bytes), job.journal);
    return size;
  };
  return {
    async run(number) {
      at = workAt(job.works, number, at);
      try {
        const bytes = await work(number);
        Atomics.store(shared.states, number, DONE);
        return bytes;
      } catch (error) {
        throw named(error, job.works[at]!.name);
      }
    },
    close() {
      source.close();
      void importance.close();
    },
  };
}
