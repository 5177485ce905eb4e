/** Checksums by the Web Crypto API, which browsers and Node share. */

/** SHA-256 of the bytes, hexadecimal; empty on pages that are no secure context, where browsers have no digests. */
export async function sha256(bytes: Uint8Array): Promise<string> {
  const subtle = globalThis.crypto?.subtle;
  if (subtle === undefined) return "";
  const hash = new Uint8Array(await subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
