/** Unfinished files and folders, so that an interrupted process leaves none behind, and a killed one none for long. */
import { createHash, randomBytes } from "node:crypto";
import { rmSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";

const temporaries = new Set<string>();

/** This machine in a name: a number of a process says nothing about those of others that share a folder. */
const MACHINE = createHash("sha256").update(hostname()).digest("hex").slice(0, 8);

/** Begin of the names of temporary folders and files: whose they are. */
export const OWN_PREFIX = `fewbit-${MACHINE}-${process.pid}-`;

/** End of the names of files and folders that can be gone on with. */
const PART = ".part";

/** What can be gone on with. */
export type UnfinishedKind = "file" | "folder";

/** Which file or folder an unfinished one is to become. */
const targetKey = (target: string): string => createHash("sha256").update(basename(target)).digest("hex").slice(0, 16);

const OWNED = /^\.?fewbit-([0-9a-f]{8})-([1-9]\d*)-/;

/** A new name in `folder` for a file or a folder, remembered until it is renamed or removed. */
export function temporaryPath(folder: string): string {
  const path = join(folder, `.${OWN_PREFIX}${randomBytes(8).toString("hex")}.tmp`);
  temporaries.add(path);
  return path;
}

/** A name like `temporaryPath`'s for what the next process may go on with, should this one be killed. */
export function resumablePath(target: string): string {
  const path = join(dirname(target), `.${OWN_PREFIX}${targetKey(target)}-${randomBytes(4).toString("hex")}${PART}`);
  temporaries.add(path);
  return path;
}

/** Paths of what processes of this machine that are no longer there have left of `target`. */
export async function abandonedFor(target: string, kind: UnfinishedKind): Promise<readonly string[]> {
  const folder = dirname(target);
  const end = new RegExp(`-${targetKey(target)}-[0-9a-f]{8}\\${PART}$`);
  const entries = await readdir(folder, { withFileTypes: true });
  return entries
    .filter((entry) => (kind === "file" ? entry.isFile() : entry.isDirectory()) && end.test(entry.name))
    .map(({ name }) => join(folder, name))
    .filter((path) => !temporaries.has(path) && isStale(basename(path), true));
}

/** The file or folder has its final name now, or never came to be. */
export const forgetTemporary = (path: string): void => {
  temporaries.delete(path);
};

/** Removes a temporary file or folder, if it is there. */
export async function removeTemporary(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true }).catch(() => {});
  temporaries.delete(path);
}

/** Removes all unfinished files at once, without waiting: for the handler of Ctrl-C. */
export function cleanupTemporaries(): void {
  for (const path of temporaries) {
    try {
      rmSync(path, { recursive: true, force: true });
    } catch {
      // The process is ending; a file that can't be removed stays.
    }
  }
  temporaries.clear();
}

/** Only "no such process" says that it ended: one that may not be signalled is there. */
function hasEnded(id: number): boolean {
  try {
    process.kill(id, 0);
    return false;
  } catch (error) {
    return (error as { code?: string }).code === "ESRCH";
  }
}

/** In containers the next process often has the number of the last: `ownToo` where names can't be those of this one. */
const isStale = (name: string, ownToo = false): boolean => {
  const [, machine, id] = OWNED.exec(name) ?? [];
  return machine === MACHINE && (hasEnded(Number(id)) || (ownToo && Number(id) === process.pid));
};

const swept = new Set<string>();

/**
 * Removes what processes of this machine that are no longer there have left in `folder`, once in the life of this one. Only
 * folders: a file may be a link to what a killed process was about to replace. What can be gone on with stays.
 */
export async function sweepStale(folder: string): Promise<void> {
  if (swept.has(folder)) return;
  swept.add(folder);
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const stale = entries.filter((entry) => entry.isDirectory() && !entry.name.endsWith(PART) && isStale(entry.name));
  await Promise.all(stale.map(({ name }) => rm(join(folder, name), { recursive: true, force: true }).catch(() => {})));
}
