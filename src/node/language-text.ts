/** The text that language models are run on. */
import { readFile, stat } from "node:fs/promises";
import { basename } from "node:path";
import { fail } from "../numeric/errors.ts";
import { BUILT_IN_TEXT, type TextSource } from "../pipeline/language/index.ts";
import { withIoErrors } from "./io-errors.ts";
import type { DataRequest } from "./requests.ts";

/** Tokens take some 20 times the memory of their text while they are made. */
const MAX_TEXT_BYTES = 1 << 26;

export const builtInText: TextSource = { origin: "built-in text", text: BUILT_IN_TEXT };

async function textFile(path: string): Promise<string> {
  const found = await withIoErrors("read", path, () => stat(path));
  if (found.isDirectory()) fail("usage", `${path} is a folder; --data for GGUF is a text file, or the word random`);
  if (found.size > MAX_TEXT_BYTES)
    fail("limit", `${path}: ${found.size} bytes of text, expected at most ${MAX_TEXT_BYTES}; give a part of it`);
  const bytes = await withIoErrors("read", path, () => readFile(path));
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    return fail("data", `${path}: it is no text in UTF-8; convert it, or name a text file`, cause);
  }
}

/** A text file, or "random". Code "data" where it is empty or not UTF-8. */
export async function openText({ path, seed }: DataRequest): Promise<TextSource> {
  if (path === "random") return { origin: "random tokens", seed };
  const text = await textFile(path);
  if (text.trim() === "") fail("data", `${path}: there is no text in it; give some hundred words`);
  return { origin: basename(path), text };
}
