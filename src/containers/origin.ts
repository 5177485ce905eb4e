/** Which file a `TensorFile` was read from: one that was not changed is copied instead of encoded. */
import type { ByteSource } from "../ir/source.ts";
import type { TensorFile } from "../ir/tensor-file.ts";

const sources = new WeakMap<TensorFile, ByteSource>();

/** Remembers the one file that all of `file` came from. */
export const rememberSource = (file: TensorFile, source: ByteSource): void => {
  sources.set(file, source);
};

/** The file this very object was read from; undefined for new or changed ones and those of several files. */
export const sourceOf = (file: TensorFile): ByteSource | undefined => sources.get(file);
