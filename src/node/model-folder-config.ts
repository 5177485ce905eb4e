/** config.json and quantize_config.json of a transformers.js model folder. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fail } from "../numeric/errors.ts";
import { SUFFIXES, usesPerChannelReduceRange } from "../recipes/transformers-js.ts";
import { setJson } from "./json-edit.ts";
import { writeText } from "./write-text.ts";

/** Larger than any known config.json by a factor of a hundred; a bigger one is something else. */
const MAX_CONFIG_BYTES = 16 * 1024 * 1024;
/** MAX_EXTERNAL_DATA_CHUNKS of the loader. */
const MAX_CHUNKS = 100;

/** The system's code of an error, or its message. */
export const reason = (cause: unknown): string => (cause as { code?: string }).code ?? (cause as Error).message;

interface Config {
  readonly text: string;
  readonly json: Readonly<Record<string, unknown>>;
}

/** config.json of a folder: its text and what it says. `expected` tells what kind of folder should have one. */
export async function readConfig(
  folder: string,
  expected = "a transformers.js folder holds config.json and onnx/*.onnx",
): Promise<Config> {
  const path = join(folder, "config.json");
  const bytes = await readFile(path).catch((cause) =>
    fail("usage", `${folder}: config.json can't be read (${reason(cause)}); ${expected}`, cause),
  );
  if (bytes.length > MAX_CONFIG_BYTES)
    fail("limit", `${path}: ${bytes.length} bytes; at most ${MAX_CONFIG_BYTES} are read`);
  const text = bytes.toString("utf8");
  return { text, json: parsed(text, path) };
}

function parsed(text: string, path: string): Config["json"] {
  try {
    const json: unknown = JSON.parse(text);
    if (isRecord(json)) return json;
  } catch (cause) {
    fail("format", `${path}: not JSON (${(cause as Error).message})`, cause);
  }
  return fail("format", `${path}: expected an object`);
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Name of the external data of a model file: the loader asks for X.onnx_data, X.onnx_data_1, ... */
export const externalDataName = (file: string, chunk = 0): string => `${file}_data${chunk === 0 ? "" : `_${chunk}`}`;

type Declared = Record<string, number | boolean>;

/** Number of external data files that lie beside each model of onnx/. */
async function chunksOnDisk(folder: string): Promise<Declared> {
  const names = new Set(await readdir(join(folder, "onnx")).catch(() => []));
  const count = (file: string): number => {
    let chunks = 0;
    while (chunks < MAX_CHUNKS && names.has(externalDataName(file, chunks))) chunks++;
    return chunks;
  };
  const models = [...names].filter((name) => name.endsWith(".onnx"));
  return Object.fromEntries(models.map((name) => [name, count(name)]).filter(([, chunks]) => chunks !== 0));
}

/** An entry under the bare session name holds for all its dtypes. */
const baseDeclared = (declared: Declared, file: string): boolean =>
  Object.entries(declared).some(([key, value]) => !key.endsWith(".onnx") && Boolean(value) && sessionOf(file) === key);

function sessionOf(file: string): string {
  const stem = file.slice(0, -".onnx".length);
  const suffix = [...SUFFIXES.values()].find((candidate) => stem.endsWith(candidate)) ?? "";
  return stem.slice(0, stem.length - suffix.length);
}

function merged(declared: Declared, external: Readonly<Record<string, number>>): Declared {
  const next = { ...declared };
  for (const [file, chunks] of Object.entries(external)) {
    if (chunks > MAX_CHUNKS) fail("limit", `"${file}" has ${chunks} data files; transformers.js loads ${MAX_CHUNKS}`);
    if (chunks > 0) next[file] = chunks;
    else if (baseDeclared(declared, file)) next[file] = 0;
    else delete next[file];
  }
  return next;
}

/**
 * Declares the external data of the files just written: `external` maps file names to numbers of data files. Only
 * `transformers.js_config.use_external_data_format` changes; a text that says so already is not written again.
 */
export async function updateConfig(folder: string, external: Readonly<Record<string, number>>): Promise<void> {
  const path = join(folder, "config.json");
  const { text, json } = await readConfig(folder);
  const section = json["transformers.js_config"] ?? {};
  if (!isRecord(section)) fail("format", `${path}: "transformers.js_config" is not an object`);
  const before = section.use_external_data_format;
  const declared = isRecord(before) ? (before as Declared) : before ? await chunksOnDisk(folder) : {};
  const after = merged(declared, external);
  if (JSON.stringify(after) === JSON.stringify(isRecord(before) ? before : before ? undefined : {})) return;
  await writeText(path, setJson(text, ["transformers.js_config", "use_external_data_format"], after, path));
}

/** The settings in the form of the transformers.js scripts, with fewbit's own under "fewbit". */
export function quantizeConfig(dtypes: readonly string[], modelType: string | undefined, fewbit: unknown): unknown {
  const wide = usesPerChannelReduceRange(modelType);
  return {
    modes: dtypes,
    per_channel: wide,
    reduce_range: wide,
    block_size: null,
    is_symmetric: true,
    accuracy_level: null,
    quant_type: 1,
    op_block_list: null,
    fewbit,
  };
}

/** Writes quantize_config.json beside config.json, as convert.py did. */
export const writeQuantizeConfig = (folder: string, config: unknown): Promise<void> =>
  writeText(join(folder, "quantize_config.json"), `${JSON.stringify(config, null, 4)}\n`);
