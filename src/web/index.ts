/** fewbit for browsers and workers: the engine that runs there, and a host that keeps models in memory. */

export type { OutputFile as EncodedFile } from "../containers/stream.ts";
export type { MemoryPlace } from "../engines/contract.ts";
export { type LitertOptions, openLitert } from "../engines/litert.ts";
export type { OrtWebOptions } from "../engines/ort-web.ts";
export { openOrtWeb } from "../engines/ort-web.ts";
export { sha256 } from "../numeric/sha256.ts";
export { blobSource, outputBlob, outputStream } from "./blob.ts";
export { type StagedBytes, stageInMemory, type WebHost, webHost } from "./host.ts";
export { litertFrom } from "./litert.ts";
