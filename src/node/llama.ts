/** Finds the binaries of node-llama-cpp. Nothing is fetched, built or printed. */
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { readGguf } from "../containers/gguf/index.ts";
import type { LanguageEngine, OpenedLanguage } from "../engines/language.ts";
import { LLAMA_VERSION, llamaEngine } from "../engines/llama.ts";
import { fileSource } from "./file-source.ts";
import { startLlama } from "./llama-process.ts";
import { isWeightsPath, openWeights } from "./open-weights.ts";

/** Names of the binaries by Node's names of the platform: those that compute on the CPU. */
const BINARIES: Readonly<Record<string, string>> = {
  "linux-x64": "linux-x64",
  "linux-arm64": "linux-arm64",
  "linux-arm": "linux-armv7l",
  "darwin-arm64": "mac-arm64-metal",
  "darwin-x64": "mac-x64",
  "win32-x64": "win-x64",
  "win32-arm64": "win-arm64",
};

/** A folder whose `node_modules` holds the package, where it is not installed beside fewbit. */
const FOLDER_VARIABLE = "FEWBIT_LLAMA";
/** Longest time between a question and its answer: a window of a large model on a slow machine. */
const TIMEOUT_MS = 1_800_000;

/** Folders of packages that may hold the binaries, nearest first. */
function searched(name: string): readonly string[] {
  const named = process.env[FOLDER_VARIABLE];
  const folders = named ? [join(resolve(named), "node_modules")] : createRequire(import.meta.url).resolve.paths(name);
  return (folders ?? []).flatMap((folder) => [folder, join(folder, "node-llama-cpp", "node_modules")]);
}

interface Installed {
  readonly version: string;
  readonly binary: string;
}

function installed(platform: string): Installed | undefined {
  const name = `@node-llama-cpp/${platform}`;
  const folder = searched(name)
    .map((each) => join(each, name))
    .find((each) => existsSync(join(each, "package.json")));
  if (folder === undefined) return undefined;
  const { version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as { version: string };
  return { version, binary: join(folder, "bins", platform, "llama-addon.node") };
}

/** Files that fewbit's own reader refuses never reach the engine; unfinished files have names of their own kind. */
async function assertReadable(path: string): Promise<void> {
  if (isWeightsPath(path)) return (await openWeights(path)).close();
  const source = await fileSource(path);
  try {
    await readGguf(source);
  } finally {
    await source.close();
  }
}

const readFirst = (engine: LanguageEngine): LanguageEngine => ({
  ...engine,
  async open(place, options) {
    await assertReadable(place.path);
    return engine.open({ label: place.path, ...place, path: resolve(place.path) }, options);
  },
});

/** How the engine runs. */
export interface LlamaWish {
  /** Aborting ends what runs. */
  readonly signal?: AbortSignal;
  /** Half an hour by default. */
  readonly timeoutMs?: number;
}

/** The engine that runs GGUF, or why there is none and how to get it. */
export function openLlama({ signal, timeoutMs = TIMEOUT_MS }: LlamaWish = {}): OpenedLanguage {
  const platform = BINARIES[`${process.platform}-${process.arch}`];
  if (platform === undefined)
    return { reason: `llama.cpp comes with no binary for ${process.platform} on ${process.arch}` };
  const name = `@node-llama-cpp/${platform}`;
  const remedy = `npm install ${name}@${LLAMA_VERSION}`;
  const found = installed(platform);
  if (found === undefined) return { reason: `the package ${name} is not installed`, remedy };
  const { version, binary } = found;
  if (version !== LLAMA_VERSION)
    return { reason: `${name} is there in version ${version}, and only ${LLAMA_VERSION} was tried`, remedy };
  const start = async () => startLlama(binary, { timeoutMs, ...(signal && { signal }) });
  return { engine: readFirst(llamaEngine({ version, start })) };
}
