/** A deflated entry as a source: unpacked forward while it is read, begun again when somebody reads backwards. */
import { Inflate } from "fflate";
import type { ByteSource } from "../ir/source.ts";
import { FewbitError, fail } from "../numeric/errors.ts";

/** Packed bytes handed to the inflater at once; at deflate's best ratio they give 16 MB. */
const STEP_BYTES = 16_384;

interface Stream {
  /** Unpacked bytes not yet dropped; the first one stands at `head`. */
  readonly chunks: Uint8Array[];
  head: number;
  /** Unpacked bytes so far. */
  tail: number;
  /** Packed bytes read so far. */
  taken: number;
  readonly inflate: Inflate;
}

function begin(size: number, where: string): Stream {
  const stream: Stream = {
    chunks: [],
    head: 0,
    tail: 0,
    taken: 0,
    inflate: new Inflate((chunk) => {
      stream.chunks.push(chunk);
      stream.tail += chunk.length;
      if (stream.tail > size) fail("format", `${where}: unpacks to more than the ${size} bytes it claims`);
    }),
  };
  return stream;
}

async function step(stream: Stream, packed: ByteSource, where: string): Promise<void> {
  const length = Math.min(STEP_BYTES, packed.size - stream.taken);
  if (length === 0) fail("format", `${where}: ends after ${stream.tail} unpacked bytes; it is cut short`);
  const bytes = await packed.read(stream.taken, length);
  stream.taken += length;
  try {
    stream.inflate.push(bytes, stream.taken === packed.size);
  } catch (cause) {
    if (cause instanceof FewbitError) throw cause;
    fail("format", `${where}: its compressed bytes are damaged (${(cause as Error).message})`, cause);
  }
}

function dropBefore(stream: Stream, offset: number): void {
  while (stream.chunks.length > 0 && stream.head + stream.chunks[0]!.length <= offset)
    stream.head += stream.chunks.shift()!.length;
}

function copyOut({ chunks, head }: Stream, offset: number, length: number): Uint8Array {
  const out = new Uint8Array(length);
  let at = head;
  for (const chunk of chunks) {
    const from = Math.max(offset, at);
    const to = Math.min(offset + length, at + chunk.length);
    if (from < to) out.set(chunk.subarray(from - at, to - at), from - offset);
    at += chunk.length;
  }
  return out;
}

/** `size` bytes inflated from `packed`. Meant for reading in order: what lies before the last read is forgotten. */
export function inflatedSource(packed: ByteSource, size: number, where: string): ByteSource {
  let stream = begin(size, where);
  return {
    size,
    async read(offset, length) {
      if (offset < 0 || length < 0 || offset + length > size)
        fail("format", `${where}: bytes ${offset} to ${offset + length} lie outside its ${size}`);
      if (offset < stream.head) stream = begin(size, where);
      dropBefore(stream, offset);
      while (stream.tail < offset + length) {
        await step(stream, packed, where);
        dropBefore(stream, offset);
      }
      return copyOut(stream, offset, length);
    },
  };
}
