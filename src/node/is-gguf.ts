/** Tells GGUF files from others before anything is loaded that reads them. */
import { open } from "node:fs/promises";
import { isFolder } from "./folders.ts";
import { withIoErrors } from "./io-errors.ts";

const MAGIC = "GGUF";

/** Whether `path` is a file that begins like GGUF or is named so; a folder is not. */
export async function isGguf(path: string): Promise<boolean> {
  if (await isFolder(path)) return false;
  if (path.toLowerCase().endsWith(".gguf")) return true;
  return withIoErrors("read", path, async () => {
    const handle = await open(path);
    try {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(MAGIC.length));
      return bytesRead === MAGIC.length && buffer.toString("latin1") === MAGIC;
    } finally {
      await handle.close();
    }
  });
}
