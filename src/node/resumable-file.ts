/**
 * A file under way that survives being killed: behind its content lies a journal of what is done, and the next process
 * that writes the same goes on. One name for both, so that taking it over is one rename, which one process wins.
 */
import { createHash } from "node:crypto";
import { closeSync, fstatSync, ftruncateSync, openSync, renameSync, rmSync, truncateSync } from "node:fs";
import { ENTRY_BYTES } from "./encode-job.ts";
import { readFullySync, writeFullySync } from "./encode-source.ts";
import { abandonedFor, removeTemporary, resumablePath } from "./temporaries.ts";

/** What the file is to become. */
export interface ResumableOptions {
  readonly target: string;
  readonly size: number;
  readonly pieces: number;
  /** SHA-256 of everything that the content follows from. */
  readonly digest: Uint8Array;
}

/** The file; entries of the journal lie from byte `journal` on. */
export interface ResumableFile {
  readonly fd: number;
  readonly journal: number;
  /** Entries of the process before, checked for nothing; undefined where all is to be done. */
  readonly entries?: Uint8Array;
  /** Bytes that it takes on the disk already. */
  readonly allocated: number;
  readonly path: string;
  /** Closes it; it can still be gone on with. */
  close(): void;
  /** Cuts the journal off: what is left is the file. */
  cutJournal(): void;
  /** Closes and removes it. */
  discard(): Promise<void>;
}

/** What POSIX counts a file's blocks in. */
const BLOCK_BYTES = 512;
const MAGIC = new TextEncoder().encode("fewbit journal 2");

/** Before the first entry: the magic and the digest. */
const headOf = (digest: Uint8Array): Uint8Array => Buffer.concat([MAGIC, digest]);

/** Gives the file of an ended process this one's name; what can't be had is another's or gone. */
function takeOver(from: string, to: string): boolean {
  try {
    renameSync(from, to);
    return true;
  } catch {
    return false;
  }
}

async function abandoned(target: string, path: string): Promise<boolean> {
  let found = false;
  for (const old of await abandonedFor(target)) {
    if (found) rmSync(old, { force: true });
    else found = takeOver(old, path);
  }
  return found;
}

/** Entries of a file that was begun for the same content. */
function readEntries(fd: number, path: string, { size, pieces, digest }: ResumableOptions): Uint8Array | undefined {
  const head = headOf(digest);
  const entries = new Uint8Array(pieces * ENTRY_BYTES);
  if (fstatSync(fd).size !== size + head.length + entries.length) return undefined;
  const found = new Uint8Array(head.length);
  readFullySync(fd, path, found, size);
  if (Buffer.compare(found, head) !== 0) return undefined;
  readFullySync(fd, path, entries, size + head.length);
  return entries;
}

function begin(fd: number, { size, pieces, digest }: ResumableOptions): void {
  const head = headOf(digest);
  // closing a file that was emptied waits for the disk on ext4, so a new one is left alone
  if (fstatSync(fd).size > 0) ftruncateSync(fd, 0);
  ftruncateSync(fd, size + head.length + pieces * ENTRY_BYTES);
  writeFullySync(fd, head, size);
}

/** Opens a new file beside `target`, or the one that a killed process left of the same content. */
export async function openResumable(options: ResumableOptions): Promise<ResumableFile> {
  const { target, size, digest } = options;
  const path = resumablePath(target);
  let fd = -1;
  const close = (): void => {
    if (fd >= 0) closeSync(fd);
    fd = -1;
  };
  const discard = async (): Promise<void> => {
    close();
    await removeTemporary(path);
  };
  try {
    const isOld = await abandoned(target, path);
    fd = openSync(path, isOld ? "r+" : "wx+");
    const entries = isOld ? readEntries(fd, path, options) : undefined;
    if (entries === undefined) begin(fd, options);
    return {
      ...{ fd, path, journal: size + headOf(digest).length, allocated: fstatSync(fd).blocks * BLOCK_BYTES },
      ...(entries && { entries }),
      ...{ close, discard, cutJournal: () => truncateSync(path, size) },
    };
  } catch (error) {
    await discard();
    throw error;
  }
}

/** SHA-256 of parts, each with its length before it. */
export function digestOf(parts: readonly (string | Uint8Array)[]): Uint8Array {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(`${part.length}:`).update(part);
  return hash.digest();
}
