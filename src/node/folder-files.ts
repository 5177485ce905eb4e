/** The small files of a model folder: configuration, tokenizer, model card. */
import { lstat, readdir } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { fail } from "../numeric/errors.ts";
import { FOLDER_FILES, type FolderFiles, MAX_TEMPLATES, TEMPLATE_FOLDER } from "../pipeline/convert-folder.ts";
import { externalPath } from "./external-path.ts";
import { fileSource } from "./file-source.ts";
import { withIoErrors } from "./io-errors.ts";

const NOT_THERE = new Set(["ENOENT", "ENOTDIR"]);
const absent = (error: NodeJS.ErrnoException): false => {
  if (NOT_THERE.has(error.code ?? "")) return false;
  throw error;
};

const exists = (path: string): Promise<boolean> => lstat(path).then(() => true, absent);

/** A file beside the weights; links may lead where those of the weights lead. */
async function readFile(weights: string, name: string, most: number): Promise<Uint8Array> {
  if (most === 0) return new Uint8Array();
  const source = await fileSource(await externalPath(weights, name));
  try {
    if (source.size > most)
      fail("limit", `"${join(dirname(weights), name)}": ${source.size} bytes; at most ${most} are read`);
    return await source.read(0, source.size);
  } finally {
    await source.close();
  }
}

/** Most bytes of a template in a file of its own. */
const TEMPLATE_BYTES = FOLDER_FILES["chat_template.jinja"];

async function templatesIn(folder: string): Promise<readonly (readonly [string, number])[]> {
  const names = await readdir(join(folder, TEMPLATE_FOLDER)).catch((error) => absent(error) || []);
  const found = names.filter((name) => name.endsWith(".jinja")).sort();
  if (found.length > MAX_TEMPLATES)
    fail("limit", `"${join(folder, TEMPLATE_FOLDER)}": ${found.length} templates; at most ${MAX_TEMPLATES} are read`);
  return found.map((name) => [`${TEMPLATE_FOLDER}/${name}`, TEMPLATE_BYTES]);
}

/** Reads what is there of the files that a conversion asks for; `weights` is the file of the weights in the folder. */
export async function readFolderFiles(weights: string): Promise<FolderFiles> {
  const folder = dirname(weights);
  const files = new Map<string, Uint8Array>();
  return withIoErrors("read", folder, async () => {
    for (const [name, most] of [...Object.entries(FOLDER_FILES), ...(await templatesIn(folder))])
      if (await exists(join(folder, name)))
        files.set(name, await withIoErrors("read", join(folder, name), () => readFile(weights, name, most)));
    return { name: basename(resolve(folder)), files };
  });
}
