/** Opens importance matrices by their paths. */
import { readImatrix } from "../containers/imatrix/index.ts";
import type { NamedImportance } from "../pipeline/weights/plan.ts";
import { fileSource } from "./file-source.ts";
import { withIoErrors } from "./io-errors.ts";

/** Importance that stays in its file until a tensor wants it, so the file stays open too. */
export interface OpenedImportance {
  readonly importance: NamedImportance;
  close(): Promise<void>;
}

/** Opens an importance matrix in either of its forms. */
export async function openImportance(path: string): Promise<OpenedImportance> {
  const source = await withIoErrors("read", path, () => fileSource(path));
  try {
    return { importance: { path, matrix: await readImatrix(source) }, close: () => source.close() };
  } catch (error) {
    await source.close();
    throw error;
  }
}
