/** Importance matrices of llama.cpp, in both of their forms. */
import type { ByteSource } from "../../ir/source.ts";
import { readGguf } from "../gguf/index.ts";
import { readDat } from "./dat-form.ts";
import { fromGguf } from "./gguf-form.ts";
import type { ImportanceMatrix } from "./importance.ts";

export { imatrixFile } from "./gguf-form.ts";
export { type ImportanceEntry, type ImportanceMatrix, importanceOf } from "./importance.ts";

const isGguf = async (source: ByteSource): Promise<boolean> =>
  source.size >= 4 && String.fromCharCode(...(await source.read(0, 4))) === "GGUF";

/** Reads an importance matrix: the GGUF form, or imatrix.dat, which has no mark of its own. Values stay in the file. */
export const readImatrix = async (source: ByteSource): Promise<ImportanceMatrix> =>
  (await isGguf(source)) ? fromGguf(await readGguf(source)) : await readDat(source);
