/** Unfinished files, so that an interrupted process leaves none behind. */
import { randomBytes } from "node:crypto";
import { rmSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";

const temporaries = new Set<string>();

/** A new name in `folder`, remembered until the file is renamed or removed. */
export function temporaryPath(folder: string): string {
  const path = join(folder, `.fewbit-${randomBytes(8).toString("hex")}.tmp`);
  temporaries.add(path);
  return path;
}

/** The file has its final name now, or never came to be. */
export const forgetTemporary = (path: string): void => {
  temporaries.delete(path);
};

/** Removes a temporary file, if it is there. */
export async function removeTemporary(path: string): Promise<void> {
  await rm(path, { force: true }).catch(() => {});
  temporaries.delete(path);
}

/** Removes all unfinished files at once, without waiting: for the handler of Ctrl-C. */
export function cleanupTemporaries(): void {
  for (const path of temporaries) {
    try {
      rmSync(path, { force: true });
    } catch {
      // The process is ending; a file that can't be removed stays.
    }
  }
  temporaries.clear();
}
