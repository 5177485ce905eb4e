/** Files of weights that belong to a model file, for engines that have to be handed everything in memory. */
import { readFile } from "node:fs/promises";
import { dirname, relative, sep } from "node:path";
import type { MemoryPlace } from "../engines/contract.ts";
import { withIoErrors } from "./io-errors.ts";
import { openModelFile } from "./open-model.ts";

export interface ExternalFile {
  /** As the model names it: relative to the model's folder, with `/`. */
  readonly location: string;
  readonly path: string;
}

/** External data files of an ONNX file, all of them inside its folder. Fails like `openModelFile`. */
export async function externalFiles(model: string): Promise<readonly ExternalFile[]> {
  const { files, close } = await openModelFile(model);
  await close();
  const location = (path: string): string => relative(dirname(model), path).split(sep).join("/");
  return files.slice(1).map((path) => ({ location: location(path), path }));
}

const bytesOf = (path: string): Promise<Uint8Array> => withIoErrors("read", path, () => readFile(path));

/** An ONNX file with its external data. */
export async function readModel(model: string): Promise<MemoryPlace> {
  const files = await externalFiles(model);
  const load = async ({ location, path }: ExternalFile) => ({ location, bytes: await bytesOf(path) });
  return { bytes: await bytesOf(model), external: await Promise.all(files.map(load)) };
}
