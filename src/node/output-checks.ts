/** What must hold before a model's files are written. */
import type { Stats } from "node:fs";
import { mkdir, realpath, stat, statfs } from "node:fs/promises";
import { dirname, join, sep } from "node:path";
import type { OutputFile } from "../containers/stream.ts";
import type { GraphContainer } from "../ir/model.ts";
import { fail } from "../numeric/errors.ts";

/** Endings of model files. */
export const EXTENSIONS: Readonly<Record<GraphContainer, string>> = { onnx: ".onnx", tflite: ".tflite" };

/** An output path is free or a regular file. */
export async function checkTarget(path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined || found.isFile()) return;
  if (found.isDirectory()) fail("usage", `"${path}" is a folder; give the output a file name`);
  fail("usage", `"${path}" is not a regular file; choose another output path`);
}

/** The disk has room for all files; old ones of the same names count as staying. */
export async function checkSpace(folder: string, files: readonly Pick<OutputFile, "size">[]): Promise<void> {
  const needed = files.reduce((sum, { size }) => sum + size, 0);
  const { bavail, bsize, blocks } = await statfs(folder);
  const free = bavail * bsize;
  if (blocks > 0 && free < needed)
    fail("io", `"${folder}" has ${free} bytes free, but the model needs ${needed}; free some or choose another folder`);
}

/** What POSIX counts a file's blocks in. */
const BLOCK_BYTES = 512;

/** Bytes that a file takes on the disk. */
export const allocatedBytes = ({ blocks }: Pick<Stats, "blocks">): number => blocks * BLOCK_BYTES;

/** Of each file the bytes that are not on the disk yet. */
export const missingBytes = (
  folder: string,
  files: readonly Pick<OutputFile, "name" | "size">[],
): Promise<readonly Pick<OutputFile, "size">[]> =>
  Promise.all(
    files.map(async ({ name, size }) => {
      const found = await stat(join(folder, name)).catch(() => undefined);
      return { size: Math.max(0, size - (found ? allocatedBytes(found) : 0)) };
    }),
  );

/** Makes the folder a data file goes to; returns the topmost folder made. Links may not lead it elsewhere. */
export async function makeFolder(root: string, target: string): Promise<string | undefined> {
  const folder = dirname(target);
  const made = folder === root ? undefined : await mkdir(folder, { recursive: true });
  const [realRoot, real] = [await realpath(root), await realpath(folder)];
  if (real !== realRoot && !real.startsWith(realRoot + sep))
    fail("usage", `"${folder}" is a link to outside "${root}"; choose another output folder`);
  return made;
}

/** No two files have the same name, also where upper and lower case are one. */
export function checkNames(files: readonly OutputFile[]): void {
  const names = files.map(({ name }) => name.toLowerCase());
  if (new Set(names).size !== names.length)
    fail("usage", `the model file and its data need different names, found ${names.join(", ")}; choose others`);
}
