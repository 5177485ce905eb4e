/** SHA-256 of a file while threads write it in any order. */
import { createHash } from "node:crypto";
import { pieceOf } from "../pipeline/weights/cut.ts";
import { DONE, type EncodeJob, type PlacedWork, sharedViews, workAt } from "./encode-job.ts";
import { readFullySync } from "./encode-pieces.ts";

/** The end of a piece in the new file. */
function endOf(works: readonly PlacedWork[], at: number, piece: number): number {
  const { cut, start, target } = works[at]!;
  const { first, units } = pieceOf(cut, piece - start);
  return target + (first + units) * cut.after;
}

const READ_BYTES = 1 << 20;

/** SHA-256 of what is written, following the pieces that are done from the beginning without a gap. */
export function follower({ works, output, pieces, ...job }: EncodeJob, size: number) {
  const { states } = sharedViews({ ...job, pieces });
  const [hash, room] = [createHash("sha256"), Buffer.allocUnsafeSlow(READ_BYTES)];
  let [piece, at, hashed] = [0, 0, 0];
  const upTo = (end: number): void => {
    while (hashed < end) {
      const bytes = room.subarray(0, Math.min(READ_BYTES, end - hashed));
      readFullySync(output, "the unfinished file", bytes, hashed);
      hash.update(bytes);
      hashed += bytes.length;
    }
  };
  return {
    /** Takes in the pieces that are done; each is told of with the bytes of its source. */
    follow(onPiece: (bytes: number) => void): void {
      for (; piece < pieces && Atomics.load(states, piece) === DONE; piece++) {
        at = workAt(works, piece, at);
        upTo(endOf(works, at, piece));
        const { cut, start } = works[at]!;
        onPiece(pieceOf(cut, piece - start).units * cut.before);
      }
    },
    digest(): string {
      upTo(size);
      return hash.digest("hex");
    },
  };
}
