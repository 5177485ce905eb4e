/** What threads read and write by: files of the source, places in new files, and errors that name the tensor. */
import { closeSync, constants, fstatSync, openSync, readSync, writeSync } from "node:fs";
import { FewbitError, fail } from "../numeric/errors.ts";
import { stampOf } from "./file-source.ts";
import { ioError } from "./io-errors.ts";

/** A file that is read; `stamp` tells whether it is still as it was when the work was planned. */
export interface SourceFile {
  readonly path: string;
  readonly stamp: string;
}

/** Works on one piece after the other; numbers must rise. */
export interface PieceRunner {
  /** Bytes of the source that the piece has. */
  run(piece: number): Promise<number>;
  close(): void;
}

/** Reads as many bytes as `into` holds; files end before that only when they are changed. */
export function readFullySync(fd: number, path: string, into: Uint8Array, offset: number): void {
  for (let done = 0; done < into.length; ) {
    const read = readSync(fd, into, done, into.length - done, offset + done);
    if (read === 0) fail("io", `"${path}" became shorter while it was read; do not change a model that is in use`);
    done += read;
  }
}

/** Writes all bytes. */
export function writeFullySync(fd: number, bytes: Uint8Array, offset: number): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done, bytes.length - done, offset + done);
}

/** Opens a file to read and write it, one that is there as it is. */
export const openUnfinished = (path: string): number => openSync(path, constants.O_RDWR | constants.O_CREAT);

/** The file that is being read; each thread opens it by itself, and only one at a time. */
export function sourceReader(files: readonly SourceFile[]) {
  let [file, fd] = [-1, -1];
  const close = (): void => {
    if (fd >= 0) closeSync(fd);
    fd = -1;
  };
  const open = (next: number): void => {
    close();
    const { path, stamp } = files[next]!;
    fd = openSync(path, "r");
    file = next;
    if (stampOf(fstatSync(fd, { bigint: true })) !== stamp)
      fail("io", `"${path}" was changed since it was opened; do not change a model that is in use`);
  };
  const read = (next: number, into: Uint8Array, offset: number): void => {
    const { path } = files[next]!;
    try {
      if (file !== next) open(next);
      readFullySync(fd, path, into, offset);
    } catch (error) {
      throw ioError(error, "read", path);
    }
  };
  return { read, close };
}

/** Names the tensor in what the system says: a full disk, a file that can't be read. */
export const named = (error: unknown, tensor: string): FewbitError => {
  const { code, message, cause } = ioError(error, "write", "the unfinished file");
  return new FewbitError(code, message.includes(tensor) ? message : `tensor "${tensor}": ${message}`, { cause });
};
