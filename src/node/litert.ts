/** Finds LiteRT's WebAssembly in the installed package. Nothing is set on `globalThis` and nothing is fetched. */
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { compileFunction } from "node:vm";
import type { MemoryPlace } from "../engines/contract.ts";
import { LITERT_FILE, type LitertFactory, type LitertPackage } from "../engines/litert-api.ts";
import { wasmApi } from "../engines/wasm-api.ts";
import { withIoErrors } from "./io-errors.ts";

const require = createRequire(import.meta.url);

/** Folder of the package; fails with code MODULE_NOT_FOUND where it is not installed. */
const packageFolder = (): string => dirname(require.resolve("@litertjs/core/package.json"));

/** The package calls itself an ES module, but its WebAssembly comes with a script in CommonJS. */
async function commonJs(file: string): Promise<unknown> {
  const names = ["module", "exports", "require", "__filename", "__dirname"];
  const run = compileFunction(await readFile(file, "utf8"), names, { filename: file });
  const module = { exports: {} };
  run(module, module.exports, require, file, dirname(file));
  return module.exports;
}

/** The two files of a build: a script in CommonJS and the WebAssembly. */
export const litertFiles = (): { readonly script: string; readonly wasm: string } => {
  const base = join(packageFolder(), "wasm", LITERT_FILE);
  return { script: `${base}.js`, wasm: `${base}.wasm` };
};

/** A TFLite file; it has no other files with it. */
export const readTfliteFile = async (path: string): Promise<MemoryPlace> => ({
  bytes: await withIoErrors("read", path, () => readFile(path)),
});

let loading: Promise<LitertPackage> | undefined;

/** The package with its WebAssembly, which is compiled once in a process. */
export function loadLitert(): Promise<LitertPackage> {
  loading ??= load().catch((cause) => {
    loading = undefined;
    throw cause;
  });
  return loading;
}

async function load(): Promise<LitertPackage> {
  const folder = packageFolder();
  const { version } = JSON.parse(await readFile(join(folder, "package.json"), "utf8")) as { version: string };
  const { script, wasm } = litertFiles();
  const [factory, module] = await Promise.all([
    commonJs(script) as Promise<LitertFactory>,
    readFile(wasm).then((bytes) => wasmApi.compile(bytes)),
  ]);
  return { version, factory, module };
}
