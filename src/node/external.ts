/** Files of weights that belong to a model file, for engines that have to be handed everything in memory. */
import { readFile, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { readOnnx } from "../containers/onnx/index.ts";
import type { MemoryPlace } from "../engines/ort-web.ts";
import { type ByteSource, bytesSource } from "../ir/source.ts";
import { fail } from "../numeric/errors.ts";

export interface ExternalFile {
  /** As the model names it. */
  readonly location: string;
  readonly path: string;
}

/** Enough of a file to list it: its size. */
const sizeOf = async (path: string): Promise<ByteSource> => ({
  size: (await stat(path)).size,
  read: async () => fail("io", `${path} was only listed, not opened`),
});

const listed = async (path: string, bytes: Uint8Array): Promise<readonly ExternalFile[]> => {
  const found: ExternalFile[] = [];
  const external = (location: string) => {
    found.push({ location, path: join(dirname(path), location) });
    return sizeOf(join(dirname(path), location));
  };
  await readOnnx(bytesSource(bytes), { external });
  return found;
};

/** External data files of an ONNX file. */
export const externalFiles = async (path: string): Promise<readonly ExternalFile[]> =>
  listed(path, await readFile(path));

/** An ONNX file with its external data. */
export async function readModel(path: string): Promise<MemoryPlace> {
  const bytes = await readFile(path);
  const load = async ({ location, path }: ExternalFile) => ({ location, bytes: await readFile(path) });
  return { bytes, external: await Promise.all((await listed(path, bytes)).map(load)) };
}
