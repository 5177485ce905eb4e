/** Large files in browsers: read in parts from a Blob, written as a stream or a Blob, never whole in an array. */
import type { OutputFile } from "../containers/stream.ts";
import type { ByteSource } from "../ir/source.ts";
import { fail } from "../numeric/errors.ts";

/** Bytes of a file that the user chose, or of any Blob; nothing is read until it is asked for. */
export const blobSource = (blob: Blob): ByteSource => ({
  size: blob.size,
  seekable: true,
  async read(offset, length) {
    if (offset < 0 || length < 0 || offset + length > blob.size)
      fail("format", `bytes ${offset} to ${offset + length} lie outside a blob of ${blob.size} bytes`);
    return new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer());
  },
});

/** A file as a stream, for `showSaveFilePicker`'s writable, the origin's private files, or an upload. */
export function outputStream({ chunks }: Pick<OutputFile, "chunks">): ReadableStream<Uint8Array> {
  const parts = chunks()[Symbol.asyncIterator]();
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await parts.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    async cancel() {
      await parts.return?.();
    },
  });
}

/** A file as a Blob to download; browsers may keep its parts on disk. */
export async function outputBlob({ chunks }: Pick<OutputFile, "chunks">): Promise<Blob> {
  const parts: Blob[] = [];
  for await (const chunk of chunks()) parts.push(new Blob([chunk as Uint8Array<ArrayBuffer>]));
  return new Blob(parts);
}
