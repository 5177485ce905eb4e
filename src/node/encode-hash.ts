/** Follows threads that write a file in any order: how far it is done, and its SHA-256 where that is wanted. */
import { createHash } from "node:crypto";
import { pieceOf } from "../pipeline/weights/cut.ts";
import { DONE, type EncodeJob, type PlacedWork, sharedViews, workAt } from "./encode-job.ts";
import { readFullySync } from "./encode-source.ts";

/** The end of a piece in the new file. */
function endOf(works: readonly PlacedWork[], at: number, piece: number): number {
  const { cut, start, target } = works[at]!;
  const { first, units } = pieceOf(cut, piece - start);
  return target + (first + units) * cut.after;
}

const READ_BYTES = 1 << 20;

/** SHA-256 of the beginning of a file. */
function hasher(file: number) {
  const [hash, room] = [createHash("sha256"), Buffer.allocUnsafeSlow(READ_BYTES)];
  let hashed = 0;
  return {
    upTo(end: number): void {
      while (hashed < end) {
        const bytes = room.subarray(0, Math.min(READ_BYTES, end - hashed));
        readFullySync(file, "the unfinished file", bytes, hashed);
        hash.update(bytes);
        hashed += bytes.length;
      }
    },
    digest: () => hash.digest("hex"),
  };
}

/** Follows the pieces that are done from the beginning without a gap; reads them again only where `sha256` is wanted. */
export function follower({ works, output, pieces, ...job }: EncodeJob, size: number, sha256: boolean) {
  const { states } = sharedViews({ ...job, pieces });
  const hash = sha256 ? hasher(output) : undefined;
  let [piece, at] = [0, 0];
  return {
    /** Takes in the pieces that are done; each is told of with the bytes of its source. */
    follow(onPiece: (bytes: number) => void): void {
      for (; piece < pieces && Atomics.load(states, piece) === DONE; piece++) {
        at = workAt(works, piece, at);
        hash?.upTo(endOf(works, at, piece));
        const { cut, start } = works[at]!;
        onPiece(pieceOf(cut, piece - start).units * cut.before);
      }
    },
    /** Of all bytes, once they are there. */
    digest(): string | undefined {
      hash?.upTo(size);
      return hash?.digest();
    },
  };
}
