/** Short-lived files of the engines. */
import { rmSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Scratch } from "../engines/scratch.ts";
import { OWN_PREFIX, sweepStale } from "./temporaries.ts";

const folders = new Set<string>();

/** For a process that ends in the middle of something. */
const removeAll = (): void => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
};

/** Folders under the system's temporary folder, open to this user only, and gone when the process ends. */
export const tempScratch: Scratch = {
  async folder() {
    await sweepStale(tmpdir());
    const folder = await mkdtemp(join(tmpdir(), OWN_PREFIX));
    if (folders.size === 0) process.once("exit", removeAll);
    folders.add(folder);
    return folder;
  },
  files: async (folder) => (await readdir(folder)).map((name) => join(folder, name)),
  read: (path) => readFile(path),
  async remove(folder) {
    await rm(folder, { recursive: true, force: true });
    folders.delete(folder);
    if (folders.size === 0) process.off("exit", removeAll);
  },
};
