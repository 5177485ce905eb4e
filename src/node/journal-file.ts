/** A journal on the disk: what it is the journal of, then an entry for each piece. It ends its file. */
import { createHash } from "node:crypto";
import { fstatSync, ftruncateSync } from "node:fs";
import { ENTRY_BYTES } from "./encode-job.ts";
import { readFullySync, writeFullySync } from "./encode-source.ts";
import type { EntriesPlace } from "./journal-entries.ts";

/** What is under way. */
export interface JournalOf {
  readonly pieces: number;
  /** SHA-256 of everything that the content follows from. */
  readonly digest: Uint8Array;
}

const MAGIC = new TextEncoder().encode("fewbit journal 2");
const DIGEST_BYTES = 32;

/** Before the first entry: the magic and the digest. */
const headOf = ({ digest }: JournalOf): Uint8Array => Buffer.concat([MAGIC, digest]);

/** The entries of a journal that begins at byte `at`. */
export const entriesAt = (fd: number, at: number): EntriesPlace => ({ fd, at: at + MAGIC.length + DIGEST_BYTES });

/** Entries of a journal that begins at byte `at`, checked for nothing; undefined where it is of something else. */
export function readJournal(fd: number, at: number, journal: JournalOf): Uint8Array | undefined {
  const head = headOf(journal);
  const entries = new Uint8Array(journal.pieces * ENTRY_BYTES);
  if (fstatSync(fd).size !== at + head.length + entries.length) return undefined;
  const found = new Uint8Array(head.length);
  readFullySync(fd, "the journal", found, at);
  if (Buffer.compare(found, head) !== 0) return undefined;
  readFullySync(fd, "the journal", entries, at + head.length);
  return entries;
}

/** Empties a file and begins a journal without entries at byte `at`. */
export function beginJournal(fd: number, at: number, journal: JournalOf): void {
  const head = headOf(journal);
  // closing a file that was emptied waits for the disk on ext4, so a new one is left alone
  if (fstatSync(fd).size > 0) ftruncateSync(fd, 0);
  ftruncateSync(fd, at + head.length + journal.pieces * ENTRY_BYTES);
  writeFullySync(fd, head, at);
}

/** SHA-256 of parts, each with its length before it. */
export function digestOf(parts: readonly (string | Uint8Array)[]): Uint8Array {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(`${part.length}:`).update(part);
  return hash.digest();
}
