/** Where a model's other files lie. */
import { realpath } from "node:fs/promises";
import { dirname, isAbsolute, join, relative, sep } from "node:path";
import { safeLocation } from "../containers/safe-path.ts";
import { fail } from "../numeric/errors.ts";

const isInside = (folder: string, path: string): boolean => {
  const way = relative(folder, path);
  return way !== "" && way !== ".." && !way.startsWith(`..${sep}`) && !isAbsolute(way);
};

/**
 * Path of an external data file of the model at `modelPath`. Symbolic links are followed, and the file must then lie in
 * the model's folder, or in the folder that the model file itself is linked from (as in the Hugging Face cache).
 */
export async function externalPath(modelPath: string, location: string): Promise<string> {
  const path = join(dirname(modelPath), safeLocation(location, `"${modelPath}"`));
  const real = await realpath(path).catch((error: unknown) => {
    const missing = error instanceof Error && "code" in error && error.code === "ENOENT";
    if (missing)
      fail("usage", `"${modelPath}" keeps weights in "${location}", which is missing; put that file beside the model`);
    throw error;
  });
  const folders = [await realpath(dirname(modelPath)), dirname(await realpath(modelPath))];
  if (!folders.some((folder) => isInside(folder, real)))
    fail(
      "format",
      `"${modelPath}": external data "${location}" is a link to outside the model's folder; copy it there`,
    );
  return path;
}
