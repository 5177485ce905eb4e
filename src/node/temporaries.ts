/** Unfinished files and folders, so that an interrupted process leaves none behind. */
import { randomBytes } from "node:crypto";
import { rmSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";

const temporaries = new Set<string>();

/** A new name in `folder` for a file or a folder, remembered until it is renamed or removed. */
export function temporaryPath(folder: string): string {
  const path = join(folder, `.fewbit-${randomBytes(8).toString("hex")}.tmp`);
  temporaries.add(path);
  return path;
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
