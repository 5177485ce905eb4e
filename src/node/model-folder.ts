/**
 * transformers.js model folders: config.json beside onnx/SESSION + SUFFIX + .onnx. What transformers.js 4.2.0 reads:
 * packages/transformers/src/utils/{dtypes,model-loader}.js and models/session_config.js.
 */
import { copyFile, mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { fail } from "../numeric/errors.ts";
import type { NamedScheme } from "../recipes/named-scheme.ts";
import { SUFFIXES, transformersJsScheme } from "../recipes/transformers-js.ts";
import { externalDataName, readConfig, reason } from "./model-folder-config.ts";

/** A float model of the folder. */
export interface FolderSession {
  /** File name without `.onnx`: "model", "decoder_model_merged". */
  readonly name: string;
  readonly path: string;
}

export interface ModelFolder {
  readonly path: string;
  /** `model_type` of config.json. */
  readonly modelType?: string;
  readonly sessions: readonly FolderSession[];
  /** True where the float models lie beside config.json; the loader looks for them in onnx/. */
  readonly flat: boolean;
}

async function onnxFiles(folder: string): Promise<readonly string[]> {
  const names = await readdir(folder).catch((cause) =>
    reason(cause) === "ENOENT" || reason(cause) === "ENOTDIR"
      ? []
      : fail("io", `${folder}: can't be listed (${reason(cause)})`, cause),
  );
  return names.filter((name) => name.endsWith(".onnx")).sort();
}

const isQuantized = (file: string): boolean =>
  [...SUFFIXES.values()].some((suffix) => file.endsWith(`${suffix}.onnx`) && file.length > suffix.length + 5);

/** The float models of a folder: files without a dtype's suffix, in onnx/ or else beside config.json. */
export async function inspectFolder(folder: string): Promise<ModelFolder> {
  const { json } = await readConfig(folder);
  const inside = await onnxFiles(join(folder, "onnx"));
  const beside = await onnxFiles(folder);
  const flat = !inside.some((file) => !isQuantized(file));
  const files = (flat ? beside : inside).filter((file) => !isQuantized(file));
  if (files.length === 0) fail("usage", nothingFloat(folder, [...inside, ...beside]));
  const home = flat ? folder : join(folder, "onnx");
  return {
    path: folder,
    ...(typeof json.model_type === "string" ? { modelType: json.model_type } : {}),
    sessions: files.map((file) => ({ name: file.slice(0, -".onnx".length), path: join(home, file) })),
    flat,
  };
}

const nothingFloat = (folder: string, found: readonly string[]): string =>
  found.length === 0
    ? `${folder}: no .onnx file in onnx/ or beside config.json; export the model to ONNX first`
    : `${folder}: only quantized models (${found.slice(0, 3).join(", ")}); quantization starts from the float32 model, for example onnx/model.onnx`;

/** One file to make. */
export interface FolderJob {
  readonly session: string;
  readonly input: string;
  readonly output: string;
  /** Name of the output, the key in config.json. */
  readonly file: string;
}

/** All files of one dtype: the loader lists a dtype only when every session has it, so all are written or none. */
export interface FolderGroup {
  readonly dtype: string;
  /** Steps for a model of unknown ops; `forModel` fits them to each session. */
  readonly scheme: NamedScheme;
  readonly jobs: readonly FolderJob[];
}

export interface FolderPlan {
  readonly folder: ModelFolder;
  readonly groups: readonly FolderGroup[];
}

/** What to make for the dtypes asked for. Unknown dtypes and those nobody can write are refused. */
export function planFolder(folder: ModelFolder, dtypes: readonly string[]): FolderPlan {
  if (dtypes.length === 0) fail("usage", `${folder.path}: no dtype was asked for; q8 is what browsers load by default`);
  const groups = [...new Set(dtypes)].map((dtype): FolderGroup => {
    const scheme = transformersJsScheme(dtype);
    return { dtype, scheme, jobs: folder.sessions.map((session) => jobOf(folder.path, session, scheme)) };
  });
  return { folder, groups };
}

function jobOf(folder: string, { name, path }: FolderSession, scheme: NamedScheme): FolderJob {
  const file = `${name}${scheme.suffix ?? ""}.onnx`;
  return { session: name, input: path, output: join(folder, "onnx", file), file };
}

/** Puts the float models into onnx/ where they lie beside config.json: the loader finds fp32 only there. */
export async function copySources({ path, flat, sessions }: ModelFolder): Promise<readonly string[]> {
  if (!flat) return [];
  await mkdir(join(path, "onnx"), { recursive: true });
  const beside = await readdir(path);
  const copies = sessions.flatMap(({ name }) =>
    beside.filter((file) => file === `${name}.onnx` || file.startsWith(externalDataName(`${name}.onnx`))),
  );
  for (const file of copies) await copyFile(join(path, file), join(path, "onnx", file));
  return copies;
}
