/** fewbit quantize for GGUF files: plan, write in place of nothing or all, report. */
import { open, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { parseShardName } from "../containers/gguf/index.ts";
import { readImatrix } from "../containers/imatrix/index.ts";
import { isGgmlFormat } from "../kernels/ggml/index.ts";
import { fail } from "../numeric/errors.ts";
import { didYouMean } from "../numeric/suggest.ts";
import type { Hooks, ProgressStep } from "../pipeline/progress.ts";
import {
  type NamedImportance,
  type PlanWeightsOptions,
  planFindings,
  planWeights,
  quantizeWeights,
  tensorReports,
  type WeightsPlan,
  type WeightsQuantizeReport,
  writtenFindings,
} from "../pipeline/weights/index.ts";
import { FILE_TYPE_NAMES, type FileTypeName, fileTypeNamed, type TypeOverride } from "../recipes/ggml/index.ts";
import { fileSource } from "./file-source.ts";
import { withIoErrors } from "./io-errors.ts";
import { type OpenedWeights, openWeights } from "./open-weights.ts";
import type { KeepRule, QuantizeRequest } from "./requests.ts";
import { writeWeights } from "./write-weights.ts";

const MAGIC = "GGUF";

/** Whether a file begins like GGUF, or is named so. */
export async function isGguf(path: string): Promise<boolean> {
  if (path.toLowerCase().endsWith(".gguf")) return true;
  return withIoErrors("read", path, async () => {
    const handle = await open(path);
    try {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(MAGIC.length));
      return bytesRead === MAGIC.length && buffer.toString("latin1") === MAGIC;
    } finally {
      await handle.close();
    }
  });
}

/** What has no meaning without a graph that runs. */
const MEANINGLESS: Partial<Record<keyof QuantizeRequest, string>> = {
  ...{ calibration: "-c", evaluation: "--data and --eval", recipe: "--recipe", maxDrop: "--max-drop" },
  ...{ activations: "--activations", weights: "--symmetric and --asymmetric", groupSize: "--group-size" },
  ...{ algorithm: "--algorithm", observer: "--observer", reduceRange: "--reduce-range", io: "--io" },
  ...{ stats: "--stats", engine: "--engine", batch: "--batch" },
};

function checkRequest(request: QuantizeRequest): void {
  for (const [key, flag] of Object.entries(MEANINGLESS))
    if (request[key as keyof QuantizeRequest] !== undefined)
      fail("usage", `${flag} has no meaning for GGUF, which holds weights without a graph; leave it out`);
  if (request.embeddings) fail("usage", "--embeddings has no meaning for GGUF; its schemes decide on embeddings");
}

function schemeOf({ schemes }: QuantizeRequest): FileTypeName {
  const [name, second] = schemes;
  if (name === undefined || second !== undefined)
    return fail(
      "usage",
      `a GGUF model is quantized to one scheme at a time; name one of ${FILE_TYPE_NAMES.join(", ")} with -s`,
    );
  const found = fileTypeNamed(name.toLowerCase());
  return (
    found ??
    fail(
      "usage",
      `scheme ${name} is not one of GGUF's${didYouMean(name, FILE_TYPE_NAMES)} (known: ${FILE_TYPE_NAMES.join(", ")})`,
    )
  );
}

const escaped = (name: string): string => name.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");

function keepPattern(rule: KeepRule): RegExp {
  if (rule.kind === "regex") return rule.pattern;
  if (rule.kind === "node") return new RegExp(`^${escaped(rule.name)}$`);
  return fail("usage", `--keep op:${rule.name} has no meaning for GGUF, which holds no ops; name tensors by a REGEX`);
}

function overrideOf({ pattern, type }: { readonly pattern: RegExp; readonly type: string }): TypeOverride {
  const name = type.toLowerCase();
  if (isGgmlFormat(name)) return { pattern, type: name };
  return fail(
    "usage",
    `--tensor-type ${pattern.source}=${type}: there is no type ${type} that tensors can be written in`,
  );
}

/** Importance stays in its file until a tensor wants it, so the file stays open too. */
async function openImportance(path: string | undefined) {
  if (path === undefined) return { close: async () => {} };
  const source = await withIoErrors("read", path, () => fileSource(path));
  try {
    const importance: NamedImportance = { path, matrix: await readImatrix(source) };
    return { importance, close: () => source.close() };
  } catch (error) {
    await source.close();
    throw error;
  }
}

function planOptions(request: QuantizeRequest, importance: NamedImportance | undefined): PlanWeightsOptions {
  const { tensorTypes = [], pure = false, requantize = false } = request.ggml ?? {};
  return {
    ...{ pure, requantize, keep: request.keep.map(keepPattern), overrides: tensorTypes.map(overrideOf) },
    ...(importance && { importance }),
  };
}

/** "model.gguf" and the first of its shards become "model.NAME.gguf" beside it. */
function outputOf({ model, output }: QuantizeRequest, name: FileTypeName): string {
  if (output !== undefined) return output;
  const whole = parseShardName(basename(model))?.name ?? basename(model);
  return join(dirname(model), `${whole.replace(/\.gguf$/i, "")}.${name}.gguf`);
}

interface Opened {
  readonly opened: OpenedWeights;
  readonly plan: WeightsPlan;
  readonly importance: NamedImportance | undefined;
  readonly head: Pick<WeightsQuantizeReport, "kind" | "model" | "scheme">;
}

async function sizeOf(files: readonly string[]): Promise<number> {
  const sizes = await Promise.all(files.map(async (file) => (await stat(file)).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** Opens and plans, hands both to `use`, and closes. */
async function withPlan<T>(request: QuantizeRequest, use: (opened: Opened) => Promise<T>): Promise<T> {
  checkRequest(request);
  const name = schemeOf(request);
  const opened = await openWeights(request.model);
  const importance = await openImportance(request.ggml?.imatrix).catch(async (error) => {
    await opened.close();
    throw error;
  });
  try {
    const plan = planWeights(opened.weights, name, planOptions(request, importance.importance));
    const model = {
      name: basename(resolve(request.model)),
      files: opened.files.length,
      size: await sizeOf(opened.files),
    };
    const head = { kind: "quantize-weights", model, scheme: name } as const;
    return await use({ opened, plan, importance: importance.importance, head });
  } finally {
    await opened.close();
    await importance.close();
  }
}

const ratioOf = (before: number, after: number) => ({ before, after, ratio: before / after });

/** What a GGUF model would become; nothing is read but the header, and the size is exact. */
export const planWeightsFile = (request: QuantizeRequest): Promise<WeightsQuantizeReport> => {
  const began = performance.now();
  return withPlan(request, async ({ plan, head }) => ({
    ...head,
    files: [],
    size: ratioOf(head.model.size, plan.size),
    tensors: tensorReports(plan, new Map()),
    findings: planFindings(plan),
    seconds: (performance.now() - began) / 1000,
  }));
};

const MEGABYTE = 1e6;

/** Ticks whole megabytes, so that the rate reads as MB/s. */
function megabytes(step: ProgressStep): (bytes: number, tensor: string) => void {
  let done = 0;
  return (bytes, tensor) => {
    const before = Math.floor(done / MEGABYTE);
    done += bytes;
    const more = Math.floor(done / MEGABYTE) - before;
    if (more > 0) step.tick(more, tensor);
  };
}

/** Quantizes a GGUF model to a new file, written whole or not at all. */
export function quantizeWeightsFile(request: QuantizeRequest, hooks: Hooks): Promise<WeightsQuantizeReport> {
  const began = performance.now();
  return withPlan(request, async ({ opened, plan, importance, head }) => {
    const output = outputOf(request, plan.fileType);
    const total = plan.tensors.reduce((sum, { before }) => sum + before, 0);
    const step = hooks.progress.step(`quantizing to ${plan.fileType}, MB`, Math.max(1, Math.floor(total / MEGABYTE)));
    const options = { onBytes: megabytes(step), ...(importance && { importance }) };
    const { file, errors } = await quantizeWeights(opened.weights, plan, options);
    const written = await writeWeights(file, output, { signal: hooks.signal }).finally(() => step.done());
    const after = written.reduce((sum, { size }) => sum + size, 0);
    return {
      ...head,
      output,
      files: written.map(({ path, size, sha256 }) => ({ name: basename(path), size, sha256 })),
      size: ratioOf(head.model.size, after),
      tensors: tensorReports(plan, errors),
      findings: writtenFindings(plan),
      seconds: (performance.now() - began) / 1000,
    };
  });
}
