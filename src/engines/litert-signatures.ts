/**
 * LiteRT runs signatures where a file has them: other names, another order, and not the tensors that were made outputs
 * to look at them. Without signatures it runs the main subgraph as it stands, which is what fewbit's graphs are.
 */

/** Changes to a file's copy in memory: bytes behind its end, and one int32 inside. */
export interface Patch {
  readonly tail: Uint8Array;
  readonly at: number;
  readonly value: number;
}

/** Place of `signature_defs` in the table `Model` of the TFLite schema. */
const SIGNATURES = 7;
/** FlatBuffers: a vtable begins with its own size and that of its table. */
const VTABLE_HEAD = 4;
const ALIGNMENT = 4;

/**
 * What hides the signatures of a verified file: a second vtable behind its end, without them, since the first one may
 * serve other tables too. Undefined when there are none.
 */
export function hideSignatures(bytes: Uint8Array): Patch | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const root = view.getUint32(0, true);
  const vtable = root - view.getInt32(root, true);
  const size = view.getUint16(vtable, true);
  const field = VTABLE_HEAD + 2 * SIGNATURES;
  if (field >= size || view.getUint16(vtable + field, true) === 0) return undefined;
  const padding = -bytes.length & (ALIGNMENT - 1);
  const tail = new Uint8Array(padding + size);
  tail.set(bytes.subarray(vtable, vtable + size), padding);
  tail.fill(0, padding + field, padding + field + 2);
  return { tail, at: root, value: root - (bytes.length + padding) };
}
