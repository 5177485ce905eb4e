/**
 * A file under way that survives being killed: behind its content lies a journal of what is done, and the next process
 * that writes the same goes on. One name for both, so that taking it over is one rename, which one process wins.
 */
import { closeSync, fstatSync, openSync, truncateSync } from "node:fs";
import type { EntriesPlace } from "./journal-entries.ts";
import { beginJournal, entriesAt, type JournalOf, readJournal } from "./journal-file.ts";
import { allocatedBytes } from "./output-checks.ts";
import { takeAbandoned } from "./taking-over.ts";
import { removeTemporary, resumablePath } from "./temporaries.ts";

/** What the file is to become. */
export interface ResumableOptions extends JournalOf {
  readonly target: string;
  readonly size: number;
}

/** The file, open. */
export interface ResumableFile {
  readonly fd: number;
  readonly journal: EntriesPlace;
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

/** Opens a new file beside `target`, or the one that a killed process left of the same content. */
export async function openResumable(options: ResumableOptions): Promise<ResumableFile> {
  const { target, size } = options;
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
    const isOld = await takeAbandoned(target, path, "file");
    fd = openSync(path, isOld ? "r+" : "wx+");
    const entries = isOld ? readJournal(fd, size, options) : undefined;
    if (entries === undefined) beginJournal(fd, size, options);
    return {
      ...{ fd, path, journal: entriesAt(fd, size), allocated: allocatedBytes(fstatSync(fd)) },
      ...(entries && { entries }),
      ...{ close, discard, cutJournal: () => truncateSync(path, size) },
    };
  } catch (error) {
    await discard();
    throw error;
  }
}
