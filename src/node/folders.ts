/** Folders: whether there is one, making them, and taking back those that stayed empty. */
import { mkdir, rmdir, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { fail } from "../numeric/errors.ts";
import { withIoErrors } from "./io-errors.ts";

const NOT_THERE = new Set(["ENOENT", "ENOTDIR"]);

/** Whether there is a folder of that name. */
export const isFolder = (path: string): Promise<boolean> =>
  stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );

/** The folders that must be made for `path` to be one, topmost first. */
async function missing(path: string): Promise<readonly string[]> {
  const found: string[] = [];
  for (let at = resolve(path); ; at = dirname(at)) {
    const stats = await stat(at).catch((error: NodeJS.ErrnoException) => {
      if (!NOT_THERE.has(error.code ?? "")) throw error;
      return undefined;
    });
    if (stats?.isDirectory()) return found.reverse();
    if (stats) fail("usage", `"${at}" is a file where a folder is expected; choose another output path`);
    found.push(at);
  }
}

/**
 * Makes a folder with all above it; returns those it made, topmost first. One by one: `mkdir` with `recursive` never
 * comes back from file systems that answer ENOENT, such as /proc (Node 20).
 */
export async function makeFolders(path: string): Promise<readonly string[]> {
  const made: string[] = [];
  for (const folder of await withIoErrors("write", path, () => missing(path)))
    await withIoErrors("write", folder, () =>
      mkdir(folder).then(
        () => void made.push(folder),
        (error: NodeJS.ErrnoException) => {
          if (error.code !== "EEXIST") throw error;
        },
      ),
    );
  return made;
}

/** Removes folders that `makeFolders` made, where nothing was put into them. */
export async function removeEmptyFolders(made: readonly string[]): Promise<void> {
  for (const folder of [...made].reverse()) await rmdir(folder).catch(() => {});
}
