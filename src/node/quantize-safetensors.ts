/** fewbit quantize for Hugging Face folders of safetensors: a new folder in the convention of compressed-tensors. */
import { writeFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { CONFIG_KEY } from "../containers/compressed-tensors/index.ts";
import { fail } from "../numeric/errors.ts";
import type { ErrorSums } from "../numeric/metrics.ts";
import {
  type CompressedAlgorithm,
  type CompressedPlan,
  compareWritten,
  compressedFindings,
  compressedReports,
  compressedWrittenFindings,
  DEFAULT_SHARD_BYTES,
  type PlanCompressedOptions,
  planCompressed,
} from "../pipeline/compressed/index.ts";
import type { Hooks } from "../pipeline/progress.ts";
import type { Finding } from "../pipeline/result.ts";
import { bitsPerWeight, type WeightsQuantizeReport } from "../pipeline/weights/index.ts";
import { COMPRESSED_NAMES, COMPRESSED_SCHEMES, type CompressedScheme } from "../recipes/compressed-tensors.ts";
import { compressFiles } from "./compress-files.ts";
import { sizeOf } from "./file-sizes.ts";
import { sha256File } from "./file-source.ts";
import { withIoErrors } from "./io-errors.ts";
import { setJson } from "./json-edit.ts";
import { keepPattern } from "./keep-pattern.ts";
import { type OpenedWeights, openWeights } from "./open-weights.ts";
import { megabytes, resumed, totalMegabytes } from "./quantize-weights.ts";
import type { QuantizeRequest } from "./requests.ts";
import { inResumableFolder } from "./resumable-folder.ts";
import {
  CONFIG,
  type Companions,
  checkNewFolder,
  companionsOf,
  copyCompanions,
  holdsOnnx,
  holdsSafetensors,
  readFloatConfig,
} from "./safetensors-folder.ts";
import { defaultThreads, usefulThreads } from "./waiting-threads.ts";
import { weightsOrigin } from "./weights-origin.ts";
import type { WrittenFile } from "./write-files.ts";

/**
 * Whether a request is for the safetensors of a folder: they are all it has, or the scheme is only theirs. Folders with
 * ONNX models too are transformers.js's unless a scheme of safetensors is named.
 */
export async function wantsSafetensors({ model, schemes }: QuantizeRequest): Promise<boolean> {
  if (!(await holdsSafetensors(model))) return false;
  return !(await holdsOnnx(model)) || schemes.some((name) => COMPRESSED_NAMES.includes(name));
}

/** What has no meaning for weights without a graph. */
const MEANINGLESS: Partial<Record<keyof QuantizeRequest, string>> = {
  ...{ calibration: "-c", evaluation: "--data and --eval", recipe: "--recipe", ends: "--ends", maxDrop: "--max-drop" },
  ...{ activations: "--activations", observer: "--observer", reduceRange: "--reduce-range", io: "--io" },
  ...{ stats: "--stats", engine: "--engine", batch: "--batch" },
};

function checkRequest(request: QuantizeRequest): void {
  for (const [key, flag] of Object.entries(MEANINGLESS))
    if (request[key as keyof QuantizeRequest] !== undefined)
      fail("usage", `${flag} has no meaning for safetensors, which hold weights without a graph; leave it out`);
  const { maxShardBytes: _size, sha256: _always, ...others } = request.ggml ?? {};
  if (Object.keys(others).length > 0)
    fail("usage", "--imatrix, --tensor-type, --pure, --requantize and --target-... are for GGUF files; leave them out");
  if (request.embeddings) fail("usage", "--embeddings has no meaning for safetensors: loaders want tables in floats");
}

function schemeOf({ schemes, model }: QuantizeRequest): CompressedScheme {
  const [name, second] = schemes;
  const found = COMPRESSED_SCHEMES.find((scheme) => scheme.name === name);
  if (found !== undefined && second === undefined) return found;
  return fail(
    "usage",
    `${model} holds safetensors, which become one scheme at a time: name one of ${COMPRESSED_NAMES.join(", ")} with -s${name === undefined ? "" : `, found ${schemes.join(", ")}`}`,
  );
}

function algorithmOf({ algorithm }: QuantizeRequest): CompressedAlgorithm | undefined {
  if (algorithm === undefined || algorithm === "rtn" || algorithm === "mse") return algorithm;
  return fail("usage", `--algorithm ${algorithm} is not one of safetensors'; known are rtn and mse`);
}

function planOptions(request: QuantizeRequest): PlanCompressedOptions {
  const algorithm = algorithmOf(request);
  const { groupSize, ggml, weights, keep } = request;
  return {
    ...{
      keep: keep.map((rule) => keepPattern(rule, "safetensors, which hold no ops")),
      asymmetric: weights === "asymmetric",
    },
    ...{ maxBytes: ggml?.maxShardBytes ?? DEFAULT_SHARD_BYTES },
    ...(groupSize !== undefined && { groupSize }),
    ...(algorithm !== undefined && { algorithm }),
  };
}

/** A folder that was opened, and what is to become of it. */
interface Opened {
  readonly opened: OpenedWeights;
  readonly plan: CompressedPlan;
  readonly companions: Companions;
  /** The new config.json. */
  readonly config: string;
  readonly head: Omit<WeightsQuantizeReport, "output" | "files" | "size" | "tensors" | "run" | "findings" | "seconds">;
}

/** Opens and plans, hands all to `use`, and closes. */
async function withPlan<T>(request: QuantizeRequest, use: (opened: Opened) => Promise<T>): Promise<T> {
  checkRequest(request);
  const scheme = schemeOf(request);
  const { model } = request;
  const config = await readFloatConfig(model);
  const companions = await companionsOf(model);
  const opened = await openWeights(model);
  try {
    const plan = planCompressed(opened.weights, scheme, {
      ...planOptions(request),
      experts: config.experts,
    });
    const size = await sizeOf(opened.files);
    return await use({
      ...{ opened, plan, companions, config: setJson(config.text, [CONFIG_KEY], plan.config, join(model, CONFIG)) },
      head: {
        kind: "quantize-weights",
        model: { name: basename(resolve(model)), files: opened.files.length, size },
        scheme: scheme.name,
        bitsPerWeight: bitsPerWeight(plan.tensors),
        ...weightsOrigin(request, false),
      },
    });
  } finally {
    await opened.close();
  }
}

const ratioOf = (before: number, after: number) => ({ before, after, ratio: before / after });

/** Weights of the same model in other forms; the opened files are that model's own. */
function leftOutFinding({ companions, opened }: Opened): readonly Finding[] {
  const own = new Set(opened.files.map((file) => basename(file)));
  const others = companions.leftOut.filter((location) => !own.has(location));
  if (others.length === 0) return [];
  const shown = `${others.slice(0, 3).join(", ")}${others.length > 3 ? ", ..." : ""}`;
  return [{ severity: "info", code: "left-out", message: `weights in other files do not go along: ${shown}` }];
}

/** What a folder would become; nothing is read but headers, and the size of the weights is exact. */
export const planSafetensors = (request: QuantizeRequest): Promise<WeightsQuantizeReport> => {
  const began = performance.now();
  return withPlan(request, async (opened) => ({
    ...opened.head,
    files: [],
    size: ratioOf(opened.head.model.size, opened.plan.size),
    tensors: compressedReports(opened.plan, new Map()),
    findings: [...compressedFindings(opened.plan), ...leftOutFinding(opened)],
    seconds: (performance.now() - began) / 1000,
  }));
};

type RequestWithOutput = QuantizeRequest & { readonly output: string };

async function writeModel(
  { opened, plan }: Opened,
  folder: string,
  { encoders, output }: RequestWithOutput,
  hooks: Hooks,
): Promise<readonly WrittenFile[]> {
  const total = plan.tensors.reduce((sum, { before }) => sum + before, 0);
  const step = hooks.progress.step(`quantizing to ${plan.scheme}`, totalMegabytes(total), "MB");
  const threads = usefulThreads(encoders ?? defaultThreads(), total);
  return compressFiles(opened.weights, plan, {
    ...{ folder, threads, signal: hooks.signal, onBytes: megabytes(step) },
    onResume: (share) => hooks.progress.note(resumed(share, basename(output))),
  }).finally(() => step.done());
}

/** Opens what was written and compares it with the source. */
async function readBack(
  { opened, plan }: Opened,
  folder: string,
  hooks: Hooks,
): Promise<ReadonlyMap<string, ErrorSums>> {
  const matrices = plan.tensors.filter(({ matrix }) => matrix !== undefined);
  const step = hooks.progress.step("reading back, tensors", matrices.length);
  const written = await openWeights(folder);
  try {
    return await compareWritten(opened.weights, written.weights, plan, (name) => {
      if (hooks.signal.aborted) fail("cancelled", "interrupted; nothing was changed");
      step.tick(1, name);
    });
  } finally {
    await written.close();
    step.done();
  }
}

type Made = Pick<WeightsQuantizeReport, "files"> & {
  readonly after: number;
  readonly errors: ReadonlyMap<string, ErrorSums>;
};

async function make(opened: Opened, request: RequestWithOutput, folder: string, hooks: Hooks): Promise<Made> {
  const weights = await writeModel(opened, folder, request, hooks);
  const errors = await readBack(opened, folder, hooks);
  await copyCompanions(request.model, folder, opened.companions.copied, hooks.signal);
  const config = join(folder, CONFIG);
  await withIoErrors("write", config, () => writeFile(config, opened.config));
  const written = [
    ...weights,
    { path: config, size: Buffer.byteLength(opened.config), sha256: await sha256File(config) },
  ];
  return {
    files: written.map(({ path, size, sha256 }) => ({ name: basename(path), size, sha256 })),
    after: weights.reduce((sum, { size }) => sum + size, 0),
    errors,
  };
}

/** Quantizes a folder of safetensors to a new folder, made whole or not at all. */
export function quantizeSafetensors(request: QuantizeRequest, hooks: Hooks): Promise<WeightsQuantizeReport> {
  const began = performance.now();
  return withPlan(request, async (opened) => {
    const { head, plan } = opened;
    const output = request.output ?? `${resolve(request.model)}-${plan.scheme}`;
    await checkNewFolder(output, request.model);
    const named = { ...request, output };
    const { files, after, errors } = await inResumableFolder(output, (folder) => make(opened, named, folder, hooks));
    return {
      ...{ ...head, output, files, size: ratioOf(head.model.size, after) },
      tensors: compressedReports(plan, errors),
      findings: [...compressedWrittenFindings(plan), ...leftOutFinding(opened)],
      seconds: (performance.now() - began) / 1000,
    };
  });
}
