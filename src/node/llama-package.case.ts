/** llama.cpp for tests: the package in tests/llama, which `npm test` installs where there are binaries for the machine. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import type { LanguageEngine } from "../engines/language.ts";
import { openLlama } from "./llama.ts";

const FOLDER = resolve(import.meta.dirname, "../../tests/llama");
if (existsSync(resolve(FOLDER, "node_modules/@node-llama-cpp"))) process.env.FEWBIT_LLAMA ??= FOLDER;

/** Why there is no engine here. */
export const llamaMissing: string | undefined = openLlama().reason;
if (llamaMissing !== undefined)
  console.log(`skipped: tests that run GGUF: ${llamaMissing}; npm test installs it on Linux x64`);

/** The engine; only where `llamaMissing` is undefined. */
export function llamaForTests(options: Parameters<typeof openLlama>[0] = {}): LanguageEngine {
  const { engine, reason } = openLlama(options);
  if (engine === undefined) throw new Error(reason);
  return engine;
}
