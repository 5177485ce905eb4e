/** Files as byte sources, and which of them are being read: those must not be written over. */
import { createHash } from "node:crypto";
import { type BigIntStats, createReadStream } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import type { ByteSource } from "../ir/source.ts";
import { fail } from "../numeric/errors.ts";
import { withIoErrors } from "./io-errors.ts";

/** Bytes of a file that stays open until it is closed. */
export interface FileSource extends ByteSource {
  close(): Promise<void>;
}

/** Most bytes asked of the system at once; Linux reads at most 2,147,479,552. */
const READ_BYTES = 1024 * 1024 * 1024;

/**
 * Files being read, by device, inode and birth: the same file under another name is still the same, a new file with the
 * inode of a deleted one is not.
 */
const reading = new Map<string, number>();

const identity = ({ dev, ino, birthtimeNs }: BigIntStats): string => `${dev}:${ino}:${birthtimeNs}`;

/** Changes with the content: size and time of the last change. */
export const stampOf = ({ size, mtimeNs }: BigIntStats): string => `${size}:${mtimeNs}`;

function hold(key: string): () => void {
  reading.set(key, (reading.get(key) ?? 0) + 1);
  let held = true;
  return () => {
    if (!held) return;
    held = false;
    const left = (reading.get(key) ?? 1) - 1;
    if (left === 0) reading.delete(key);
    else reading.set(key, left);
  };
}

/** True while the file at `path`, under whatever name, is open for reading here. */
export async function isBeingRead(path: string): Promise<boolean> {
  const found = await stat(path, { bigint: true }).catch(() => undefined);
  return found !== undefined && reading.has(identity(found));
}

async function readFully(handle: FileHandle, path: string, offset: number, length: number): Promise<Uint8Array> {
  const bytes = Buffer.allocUnsafeSlow(length);
  for (let done = 0; done < length; ) {
    const most = Math.min(READ_BYTES, length - done);
    const { bytesRead } = await handle.read(bytes, done, most, offset + done);
    if (bytesRead === 0) fail("io", `"${path}" became shorter while it was read; do not change a model that is in use`);
    done += bytesRead;
  }
  return bytes;
}

/** Size and identity of a regular file; pipes and devices are refused before opening, which could wait for ever. */
async function regularFile(path: string): Promise<{ readonly size: number; readonly key: string }> {
  const found = await stat(path, { bigint: true });
  if (found.isDirectory()) fail("usage", `"${path}" is a folder; name a file in it`);
  if (!found.isFile()) fail("usage", `"${path}" is not a regular file; copy its content to one`);
  return { size: Number(found.size), key: identity(found) };
}

function checkRange(path: string, size: number, offset: number, length: number): void {
  if (offset < 0 || length < 0 || offset + length > size)
    fail("format", `bytes ${offset} to ${offset + length} lie outside "${path}", which has ${size}`);
}

/**
 * A file as a byte source; close it when done. Code "usage" for a missing file or a folder, "io" for missing rights.
 */
export function fileSource(path: string): Promise<FileSource> {
  return withIoErrors("read", path, async () => {
    const { size, key } = await regularFile(path);
    const handle = await open(path, "r");
    const release = hold(key);
    return {
      size,
      seekable: true,
      place: { path, offset: 0 },
      read(offset, length) {
        return withIoErrors("read", path, async () => {
          checkRange(path, size, offset, length);
          return await readFully(handle, path, offset, length);
        });
      },
      async close() {
        release();
        await handle.close();
      },
    };
  });
}

/** Like `fileSource`, but opens the file for each read: for models with hundreds of data files. */
export function reopeningSource(path: string): Promise<FileSource> {
  return withIoErrors("read", path, async () => {
    const { size, key } = await regularFile(path);
    const release = hold(key);
    return {
      size,
      seekable: true,
      place: { path, offset: 0 },
      read(offset, length) {
        return withIoErrors("read", path, async () => {
          checkRange(path, size, offset, length);
          const handle = await open(path, "r");
          return await readFully(handle, path, offset, length).finally(() => handle.close());
        });
      },
      close: async () => release(),
    };
  });
}

/** SHA-256 of a file, hexadecimal; reads it in pieces. */
export function sha256File(path: string): Promise<string> {
  return withIoErrors("read", path, async () => {
    const hash = createHash("sha256");
    await pipeline(createReadStream(path, { highWaterMark: 1024 * 1024 }), hash);
    return hash.digest("hex");
  });
}
