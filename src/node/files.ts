/** The file system for models: open one, write one, clean up. */

export { externalPath } from "./external-path.ts";
export { type FileSource, fileSource, isBeingRead, sha256File } from "./file-source.ts";
export { type OpenedModel, openModelFile } from "./open-model.ts";
export { cleanupTemporaries } from "./temporaries.ts";
export type { WrittenFile } from "./write-files.ts";
export { type WriteModelOptions, writeModel } from "./write-model.ts";
