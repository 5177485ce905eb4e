/** Finds constants with the same content, so that it is stored once. */
import type { ByteSource } from "../../ir/source.ts";

/** Bytes that are looked at to tell contents apart before they are compared as a whole. */
const SAMPLES = 64;

function sample(bytes: Uint8Array): string {
  const step = Math.max(1, Math.floor(bytes.length / SAMPLES));
  let hash = 0;
  for (let i = 0; i < bytes.length; i += step) hash = (Math.imul(hash, 31) + bytes[i]!) | 0;
  return `${bytes.length}:${hash}`;
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** For each source, the first one given that has the same bytes. Only those in memory are compared. */
export function firstEqual(): (source: ByteSource) => ByteSource {
  const known = new Map<string, ByteSource[]>();
  return (source) => {
    const { bytes } = source;
    if (bytes === undefined) return source;
    const key = sample(bytes);
    const alike = known.get(key) ?? [];
    const found = alike.find((other) => same(other.bytes!, bytes));
    if (found === undefined) known.set(key, [...alike, source]);
    return found ?? source;
  };
}
