/**
 * A folder under way that survives being killed: a journal in it says what of its files is done, and the next process that
 * makes the same goes on. One name for all of it, so that taking it over is one rename, which one process wins.
 */
import { closeSync } from "node:fs";
import { mkdir, readdir, rename, rm, rmdir } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { openUnfinished } from "./encode-source.ts";
import { makeFolders, removeEmptyFolders } from "./folders.ts";
import { withIoErrors } from "./io-errors.ts";
import type { EntriesPlace } from "./journal-entries.ts";
import { beginJournal, entriesAt, type JournalOf, readJournal } from "./journal-file.ts";
import { takeAbandoned } from "./taking-over.ts";
import { forgetTemporary, removeTemporary, resumablePath, sweepStale } from "./temporaries.ts";

/** Name of the journal: hidden, as no file that goes along with a model is. */
export const JOURNAL = ".fewbit-journal";

/** The journal of a folder, open. */
export interface FolderJournal {
  readonly place: EntriesPlace;
  /** Entries of the process before, checked for nothing; undefined where all is to be done. */
  readonly entries?: Uint8Array;
  close(): void;
}

async function removeOthers(folder: string, kept: readonly string[]): Promise<void> {
  for (const name of await readdir(folder))
    if (!kept.includes(name)) await rm(join(folder, name), { recursive: true, force: true });
}

/**
 * Opens the journal in a folder. Of a folder that was begun for the same content the files `names` stay; whatever else a
 * killed process put into it is removed.
 */
export async function openFolderJournal(
  folder: string,
  names: readonly string[],
  journal: JournalOf,
): Promise<FolderJournal> {
  const fd = openUnfinished(join(folder, JOURNAL));
  try {
    const entries = readJournal(fd, 0, journal);
    await removeOthers(folder, [JOURNAL, ...(entries ? names : [])]);
    if (entries === undefined) beginJournal(fd, 0, journal);
    return { place: entriesAt(fd, 0), ...(entries && { entries }), close: () => closeSync(fd) };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** Gives a finished folder its name; an empty folder of that name makes way. */
async function commit(staged: string, target: string): Promise<void> {
  await withIoErrors("write", target, async () => {
    await rm(join(staged, JOURNAL), { force: true });
    await rmdir(target).catch(() => {});
    await rename(staged, target);
  });
  forgetTemporary(staged);
}

/**
 * Makes the folder `output` under another name beside its place, which it gets when all is done. `work` is given a new
 * folder, or the one that a killed process left. After an error nothing is left.
 */
export async function inResumableFolder<T>(output: string, work: (folder: string) => Promise<T>): Promise<T> {
  const target = resolve(output);
  const parent = dirname(target);
  const made = await makeFolders(parent);
  await sweepStale(parent);
  const folder = resumablePath(target);
  try {
    await withIoErrors("write", parent, async () => {
      if (!(await takeAbandoned(target, folder, "folder"))) await mkdir(folder);
    });
    const result = await work(folder);
    await commit(folder, target);
    return result;
  } catch (error) {
    await removeTemporary(folder);
    await removeEmptyFolders(made);
    throw error;
  }
}
