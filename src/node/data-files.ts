/** Files and folders of samples. */
import { readdir, readFile, stat } from "node:fs/promises";
import { basename, extname, join } from "node:path";
import { fail } from "../numeric/errors.ts";
import { withIoErrors } from "./io-errors.ts";

/** More files than any calibration needs; a folder beyond this was given by mistake. */
const MAX_FILES = 1_000_000;

/** What a path is; a missing one is a usage error. */
export const kindOf = (path: string): Promise<"file" | "folder"> =>
  withIoErrors("read", path, async () => ((await stat(path)).isDirectory() ? "folder" : "file"));

/** A whole text file of at most `limit` bytes. */
export const readText = (path: string, limit: number): Promise<string> =>
  withIoErrors("read", path, async () => {
    const { size } = await stat(path);
    if (size > limit) fail("limit", `${path}: ${size} bytes; at most ${limit} are read`);
    return await readFile(path, "utf8");
  });

/** Lower-case extension with its dot. */
export const extensionOf = (path: string): string => extname(path).toLowerCase();

/** A file below a folder; `group` is the name of its sub-folder, "" when it lies directly inside. */
export interface Listed {
  readonly path: string;
  readonly group: string;
}

const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

async function listOne(folder: string, group: string): Promise<{ files: Listed[]; folders: string[] }> {
  const entries = await withIoErrors("read", folder, () => readdir(folder, { withFileTypes: true }));
  const named = entries.filter(({ name }) => !name.startsWith(".")).sort((a, b) => byText(a.name, b.name));
  return {
    files: named.filter((entry) => !entry.isDirectory()).map(({ name }) => ({ path: join(folder, name), group })),
    folders: named.filter((entry) => entry.isDirectory()).map(({ name }) => name),
  };
}

/** Files of a folder and of its direct sub-folders, in the order of their names; hidden ones are left out. */
export async function listFiles(folder: string): Promise<readonly Listed[]> {
  const { files, folders } = await listOne(folder, "");
  for (const name of folders) {
    files.push(...(await listOne(join(folder, name), name)).files);
    if (files.length > MAX_FILES) fail("limit", `${folder}: more than ${MAX_FILES} files; give a smaller folder`);
  }
  return files;
}

/** Last part of a path, for messages and reports. */
export const shortName = (path: string): string => basename(path);
