/** The files that the tensors of a model lie in, numbered for threads. */
import { stat } from "node:fs/promises";
import type { StoredTensor } from "../ir/tensor-file.ts";
import { fail } from "../numeric/errors.ts";
import type { SourceFile } from "./encode-source.ts";
import { stampOf } from "./file-source.ts";

/** Numbers by path, in the order in which tensors name them. */
export function sourceNumbers(tensors: readonly StoredTensor[]): ReadonlyMap<string, number> {
  const numbers = new Map<string, number>();
  for (const { name, data } of tensors) {
    const { path } = data.place ?? fail("unsupported", `tensor "${name}" lies in no file`);
    if (!numbers.has(path)) numbers.set(path, numbers.size);
  }
  return numbers;
}

/** Files as they are now. */
export const stamped = (paths: readonly string[]): Promise<readonly SourceFile[]> =>
  Promise.all(paths.map(async (path) => ({ path, stamp: stampOf(await stat(path, { bigint: true })) })));
