/** What threads do, by the kind of their job. */
import type { CompressJob } from "./compress-job.ts";
import { compressRunner } from "./compress-pieces.ts";
import type { EncodeJob } from "./encode-job.ts";
import { pieceRunner } from "./encode-pieces.ts";
import type { PieceRunner } from "./encode-source.ts";

/** A job of any kind. Plain data. */
export type ThreadJob = EncodeJob | CompressJob;

/** A runner with files and room of its own. */
export const runnerOf = (job: ThreadJob): PieceRunner => (job.kind === "gguf" ? pieceRunner(job) : compressRunner(job));
