/** Bytes of the files of a model. */
import { stat } from "node:fs/promises";
import { openWeights } from "./open-weights.ts";

/** Of files by name, or of all that belong to the one named. */
export async function sizeOfFiles(paths: string | readonly string[]): Promise<number> {
  if (typeof paths === "string") {
    const { files, close } = await openWeights(paths);
    await close();
    return sizeOfFiles(files);
  }
  const sizes = await Promise.all(paths.map(async (path) => (await stat(path)).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}
