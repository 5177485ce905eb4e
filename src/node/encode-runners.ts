/** What threads do, by the kind of their job. Each loads the program of its own kind only: starting is a part of short jobs. */
import type { CompressJob } from "./compress-job.ts";
import type { EncodeJob } from "./encode-job.ts";
import type { PieceRunner } from "./encode-source.ts";

/** A job of any kind. Plain data. */
export type ThreadJob = EncodeJob | CompressJob;

/** A runner with files and room of its own. */
export const runnerOf = async (job: ThreadJob): Promise<PieceRunner> =>
  job.kind === "gguf"
    ? (await import("./encode-pieces.ts")).pieceRunner(job)
    : (await import("./compress-pieces.ts")).compressRunner(job);
