/** Short-lived files of the engines. */
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Scratch } from "../engines/scratch.ts";

/** Folders under the system's temporary folder, open to this user only. */
export const tempScratch: Scratch = {
  folder: () => mkdtemp(join(tmpdir(), "fewbit-")),
  files: async (folder) => (await readdir(folder)).map((name) => join(folder, name)),
  read: (path) => readFile(path),
  remove: (folder) => rm(folder, { recursive: true, force: true }),
};
