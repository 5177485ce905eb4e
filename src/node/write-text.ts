/** Text files, whole or not at all. */
import { rename, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { makeFolders } from "./folders.ts";
import { withIoErrors } from "./io-errors.ts";
import { forgetTemporary, removeTemporary, temporaryPath } from "./temporaries.ts";

/**
 * Written beside and renamed, so that a reader sees the old text or the new one; makes the folder. Without `flush`, which
 * waits for the disk, that doesn't hold when the power fails.
 */
export const writeText = (path: string, text: string, { flush = true }: { flush?: boolean } = {}): Promise<void> =>
  withIoErrors("write", path, async () => {
    await makeFolders(dirname(path));
    const temporary = temporaryPath(dirname(path));
    try {
      await writeFile(temporary, text, { flush });
      await rename(temporary, path);
      forgetTemporary(temporary);
    } catch (cause) {
      await removeTemporary(temporary);
      throw cause;
    }
  });
