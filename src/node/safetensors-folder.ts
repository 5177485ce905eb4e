/** Hugging Face folders of safetensors: what belongs to the model, and what goes along with it. */
import { copyFile, mkdir, readdir, realpath, stat } from "node:fs/promises";
import { dirname, join, sep } from "node:path";
import { CONFIG_KEY } from "../containers/compressed-tensors/index.ts";
import { indexName } from "../containers/safetensors/index.ts";
import { fail } from "../numeric/errors.ts";
import { stopIfAborted } from "../pipeline/progress.ts";
import { TURNED_MODELS } from "../recipes/compressed-tensors.ts";
import { externalPath } from "./external-path.ts";
import { withIoErrors } from "./io-errors.ts";
import { readConfig } from "./model-folder-config.ts";

const MODEL = "model.safetensors";
/** File that every model folder has. */
export const CONFIG = "config.json";

/** Endings of weights in other forms, which say nothing of the new model. */
const WEIGHTS =
  /\.(safetensors(\.index\.json)?|bin(\.index\.json)?|pt|pth|ckpt|pkl|gguf|onnx|onnx_data(_\d+)?|h5|msgpack|ot|tflite|npz)$/i;

/** Files that go along: model folders have some twenty. */
const MAX_FILES = 2_000;
/** Folders inside each other. */
const MAX_DEPTH = 4;

/** Whether a path is a folder with a safetensors model by its usual name. */
export async function holdsSafetensors(path: string): Promise<boolean> {
  const names = await readdir(path).catch((): readonly string[] => []);
  return names.includes(MODEL) || names.includes(indexName(MODEL));
}

/** Whether a folder holds ONNX models as transformers.js has them. */
export async function holdsOnnx(path: string): Promise<boolean> {
  const names = [...(await readdir(path).catch(() => [])), ...(await readdir(join(path, "onnx")).catch(() => []))];
  return names.some((name) => name.endsWith(".onnx"));
}

/** What config.json says of a model that can be quantized. */
export interface FloatConfig {
  readonly text: string;
  /** Experts of a block, where it says so. */
  readonly experts: number | undefined;
}

/** By the names of Mixtral, Qwen and DeepSeek. */
const EXPERT_COUNTS = ["num_local_experts", "num_experts", "n_routed_experts"] as const;

/** config.json of a model that can be quantized. Fails for models that are quantized already, or stored turned. */
export async function readFloatConfig(folder: string): Promise<FloatConfig> {
  const { text, json } = await readConfig(folder, "a folder of safetensors holds config.json beside the weights");
  for (const key of [CONFIG_KEY, "compression_config"])
    if (json[key] !== undefined && json[key] !== null)
      fail(
        "unsupported",
        `${folder}: config.json has "${key}", so the model is quantized already; start from the original in bfloat16, float16 or float32`,
      );
  const kind = json.model_type;
  if (typeof kind === "string" && TURNED_MODELS.has(kind))
    fail(
      "unsupported",
      `${folder}: models of type ${kind} store their matrices turned, which compressed-tensors can't`,
    );
  return { text, experts: EXPERT_COUNTS.map((key) => json[key]).find((count) => typeof count === "number") };
}

/** Files of a folder that go along with the model, and those that don't because they hold weights. */
export interface Companions {
  /** Locations below the folder, with `/`. */
  readonly copied: readonly string[];
  readonly leftOut: readonly string[];
}

/** Everything but weights and config.json; hidden files stay behind, and so do folders that are links. */
export async function companionsOf(folder: string): Promise<Companions> {
  const found = { copied: [] as string[], leftOut: [] as string[] };
  await collect(folder, "", 0, found);
  return { copied: found.copied.sort(), leftOut: found.leftOut.sort() };
}

async function collect(folder: string, below: string, depth: number, found: { copied: string[]; leftOut: string[] }) {
  if (depth > MAX_DEPTH)
    fail("limit", `${folder}: folders nest deeper than ${MAX_DEPTH}; copy the model's own files out`);
  const entries = await withIoErrors("read", folder, () => readdir(join(folder, below), { withFileTypes: true }));
  for (const entry of entries) {
    const location = `${below}${entry.name}`;
    if (entry.name.startsWith(".") || location === CONFIG) continue;
    if (entry.isDirectory()) await collect(folder, `${location}/`, depth + 1, found);
    else if (await isFile(join(folder, location)))
      (WEIGHTS.test(entry.name) ? found.leftOut : found.copied).push(location);
  }
  if (found.copied.length > MAX_FILES)
    fail("limit", `${folder}: more than ${MAX_FILES} files beside the weights; copy the model's own files to a folder`);
}

/** Links to files are followed, and checked when they are copied. */
const isFile = (path: string): Promise<boolean> =>
  stat(path).then(
    (found) => found.isFile(),
    () => false,
  );

/** Copies files from one folder to another. A link may not lead out of the model's folder: the copy may be published. */
export async function copyCompanions(from: string, to: string, locations: readonly string[], signal: AbortSignal) {
  for (const location of locations) {
    stopIfAborted(signal);
    const source = await externalPath(join(from, CONFIG), location);
    const target = join(to, location);
    await withIoErrors("write", target, async () => {
      await mkdir(dirname(target), { recursive: true });
      await copyFile(source, target);
    });
  }
}

/** The real path of a folder or file that may not be there yet: that of the nearest folder above, and the rest. */
async function realOf(path: string): Promise<string> {
  const real = await realpath(path).catch(() => undefined);
  if (real !== undefined || dirname(path) === path) return real ?? path;
  return join(await realOf(dirname(path)), path.slice(dirname(path).length));
}

/** A new folder's path is free, or an empty folder, and neither the model's folder nor inside of it. */
export async function checkNewFolder(output: string, model: string): Promise<void> {
  const [own, other] = [await realOf(output), await realOf(model)];
  if (own === other || own.startsWith(other + sep))
    fail("usage", `"${output}" is the model's own folder, or inside of it; choose another with -o`);
  const found = await stat(output).catch(() => undefined);
  if (found === undefined) return;
  if (!found.isDirectory()) fail("usage", `"${output}" is a file where a folder is expected; choose another with -o`);
  if ((await readdir(output)).length > 0)
    fail("usage", `"${output}" is there already and not empty; remove it, or choose another with -o`);
}
