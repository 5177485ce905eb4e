/** What one thread does for a folder of safetensors: takes rows of a matrix and writes what they become to its places. */
import { encodeRows } from "../pipeline/compressed/encode.ts";
import { pieceOf } from "../pipeline/weights/cut.ts";
import type { CompressJob } from "./compress-job.ts";
import { DONE, sharedViews, workAt } from "./encode-job.ts";
import { named, type PieceRunner, sourceReader, writeFullySync } from "./encode-source.ts";

/** A runner with files and room of its own. Errors are `FewbitError`s that name the tensor. */
export function compressRunner(job: CompressJob): PieceRunner {
  const { states } = sharedViews(job);
  const source = sourceReader(job.files);
  let room = new Uint8Array();
  let at = 0;
  const work = (number: number): number => {
    const { cut, start, file, source: begin, matrix, parts, places } = job.works[at]!;
    const { first, units } = pieceOf(cut, number - start);
    const size = units * cut.before;
    if (room.length < size) room = new Uint8Array(size);
    const bytes = room.subarray(0, size);
    source.read(file, bytes, begin + first * cut.before);
    const made = matrix ? encodeRows(bytes, matrix, { row: first, rows: units }, job.encoding) : { codes: bytes };
    parts.forEach(({ kind, each }, i) => {
      const [part, { output, target }] = [made[kind], places[i]!];
      if (part !== undefined) writeFullySync(job.outputs[output]!, part, target + first * each);
    });
    return size;
  };
  return {
    async run(number) {
      at = workAt(job.works, number, at);
      try {
        const bytes = work(number);
        Atomics.store(states, number, DONE);
        return bytes;
      } catch (error) {
        throw named(error, job.works[at]!.name);
      }
    },
    close: () => source.close(),
  };
}
