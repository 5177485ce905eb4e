/** fewbit quantize for GGUF files: plan, write in place of nothing or all, report. */
import { open, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { readImatrix } from "../containers/imatrix/index.ts";
import { fail } from "../numeric/errors.ts";
import type { Hooks, ProgressStep } from "../pipeline/progress.ts";
import {
  bitsPerWeight,
  type NamedImportance,
  planFindings,
  quantizeWeights,
  tensorReports,
  type WeightsPlan,
  type WeightsQuantizeReport,
  writtenFindings,
} from "../pipeline/weights/index.ts";
import { fileSource } from "./file-source.ts";
import { withIoErrors } from "./io-errors.ts";
import { type OpenedWeights, openWeights } from "./open-weights.ts";
import { planRequest, weightsName } from "./plan-weights.ts";
import type { QuantizeRequest } from "./requests.ts";
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
  ...{ engine: "--engine", batch: "--batch" },
};

function checkRequest(request: QuantizeRequest): void {
  for (const [key, flag] of Object.entries(MEANINGLESS))
    if (request[key as keyof QuantizeRequest] !== undefined)
      fail("usage", `${flag} has no meaning for GGUF, which holds weights without a graph; leave it out`);
  if (request.embeddings) fail("usage", "--embeddings has no meaning for GGUF; its schemes decide on embeddings");
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

interface Opened {
  readonly opened: OpenedWeights;
  readonly plan: WeightsPlan;
  readonly importance: NamedImportance | undefined;
  readonly head: Pick<WeightsQuantizeReport, "kind" | "model" | "scheme" | "bitsPerWeight" | "target">;
}

async function sizeOf(files: readonly string[]): Promise<number> {
  const sizes = await Promise.all(files.map(async (file) => (await stat(file)).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** Opens and plans, hands both to `use`, and closes. */
async function withPlan<T>(request: QuantizeRequest, hooks: Hooks, use: (opened: Opened) => Promise<T>): Promise<T> {
  checkRequest(request);
  weightsName(request);
  const opened = await openWeights(request.model);
  const importance = await openImportance(request.ggml?.imatrix).catch(async (error) => {
    await opened.close();
    throw error;
  });
  try {
    const { plan, name } = await planRequest(request, opened.weights, importance.importance, hooks);
    const model = {
      name: basename(resolve(request.model)),
      files: opened.files.length,
      size: await sizeOf(opened.files),
    };
    const head = {
      ...({ kind: "quantize-weights", model, scheme: name, bitsPerWeight: bitsPerWeight(plan.tensors) } as const),
      ...("target" in plan && { target: { size: plan.target, error: plan.error, bound: plan.bound } }),
    };
    return await use({ opened, plan, importance: importance.importance, head });
  } finally {
    await opened.close();
    await importance.close();
  }
}

const ratioOf = (before: number, after: number) => ({ before, after, ratio: before / after });

/** What a GGUF model would become; the size is exact. Nothing is read but the header, and samples where a size is asked for. */
export const planWeightsFile = (request: QuantizeRequest, hooks: Hooks): Promise<WeightsQuantizeReport> => {
  const began = performance.now();
  return withPlan(request, hooks, async ({ plan, head }) => ({
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
export function quantizeWeightsFile(
  request: QuantizeRequest & { readonly output: string },
  hooks: Hooks,
): Promise<WeightsQuantizeReport> {
  const began = performance.now();
  return withPlan(request, hooks, async ({ opened, plan, importance, head }) => {
    const { output } = request;
    const total = plan.tensors.reduce((sum, { before }) => sum + before, 0);
    const step = hooks.progress.step(`quantizing to ${head.scheme}, MB`, Math.max(1, Math.floor(total / MEGABYTE)));
    const options = { onBytes: megabytes(step), ...(importance && { importance }) };
    const { file, errors } = await quantizeWeights(opened.weights, plan, options);
    const written = await writeWeights(file, output, {
      signal: hooks.signal,
      ...(request.ggml?.maxShardBytes !== undefined && { maxBytes: request.ggml.maxShardBytes }),
    }).finally(() => step.done());
    const after = written.reduce((sum, { size }) => sum + size, 0);
    return {
      ...head,
      // of several files the first, by which the model is opened
      output: join(dirname(output), basename(written[0]!.path)),
      files: written.map(({ path, size, sha256 }) => ({ name: basename(path), size, sha256 })),
      size: ratioOf(head.model.size, after),
      tensors: tensorReports(plan, errors),
      findings: writtenFindings(plan),
      seconds: (performance.now() - began) / 1000,
    };
  });
}
