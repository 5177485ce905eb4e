/** fewbit quantize for GGUF files: plan, write in place of nothing or all, report. */
import { basename, dirname, join, resolve } from "node:path";
import { fail } from "../numeric/errors.ts";
import type { Hooks, ProgressStep } from "../pipeline/progress.ts";
import {
  bitsPerWeight,
  type NamedImportance,
  planFindings,
  tensorReports,
  type WeightsPlan,
  type WeightsQuantizeReport,
} from "../pipeline/weights/index.ts";
import { encodeFiles } from "./encode-files.ts";
import { sizeOf } from "./file-sizes.ts";
import { languageCheck } from "./language-check.ts";
import { openImportance } from "./open-importance.ts";
import { type OpenedWeights, openWeights } from "./open-weights.ts";
import { planRequest, weightsName } from "./plan-weights.ts";
import type { QuantizeRequest } from "./requests.ts";
import { defaultThreads, usefulThreads } from "./waiting-threads.ts";
import { weightsOrigin } from "./weights-origin.ts";

/** What has no meaning without a graph that runs. */
const MEANINGLESS: Partial<Record<keyof QuantizeRequest, string>> = {
  ...{ calibration: "-c", recipe: "--recipe", ends: "--ends" },
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

interface Opened {
  readonly opened: OpenedWeights;
  readonly plan: WeightsPlan;
  readonly importance: NamedImportance | undefined;
  readonly head: Omit<WeightsQuantizeReport, "output" | "files" | "size" | "tensors" | "run" | "findings" | "seconds">;
}

/** Opens and plans, hands both to `use`, and closes. */
async function withPlan<T>(request: QuantizeRequest, hooks: Hooks, use: (opened: Opened) => Promise<T>): Promise<T> {
  checkRequest(request);
  weightsName(request);
  const opened = await openWeights(request.model);
  const imatrix = request.ggml?.imatrix;
  const found = await (imatrix === undefined ? undefined : openImportance(imatrix))?.catch(async (error) => {
    await opened.close();
    throw error;
  });
  const importance = found?.importance;
  try {
    const { plan, name } = await planRequest(request, opened.weights, importance, hooks);
    const model = {
      name: basename(resolve(request.model)),
      files: opened.files.length,
      size: await sizeOf(opened.files),
    };
    const head = {
      ...({ kind: "quantize-weights", model, scheme: name, bitsPerWeight: bitsPerWeight(plan.tensors) } as const),
      ...("target" in plan && { target: { size: plan.target, error: plan.error, bound: plan.bound } }),
      ...weightsOrigin(request, true),
    };
    return await use({ opened, plan, importance, head });
  } finally {
    await opened.close();
    await found?.close();
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

/** Whole megabytes of so many bytes, at least one. */
export const totalMegabytes = (bytes: number): number => Math.max(1, Math.floor(bytes / MEGABYTE));

/** Ticks whole megabytes. */
export function megabytes(step: ProgressStep): (bytes: number) => void {
  let done = 0;
  return (bytes) => {
    const before = Math.floor(done / MEGABYTE);
    done += bytes;
    const more = Math.floor(done / MEGABYTE) - before;
    if (more > 0) step.tick(more);
  };
}

/** Says that what a killed run left of `name` is gone on with. */
export const resumed = (share: number, name: string): string =>
  `going on with a run that was killed; ${Math.floor(100 * share)} % of ${name} is there`;

/** Quantizes a GGUF model to a new file, or several of a size, written whole or not at all. */
export function quantizeWeightsFile(
  request: QuantizeRequest & { readonly output: string },
  hooks: Hooks,
): Promise<WeightsQuantizeReport> {
  const began = performance.now();
  return withPlan(request, hooks, async ({ opened, plan, importance, head }) => {
    const { output } = request;
    const check = await languageCheck(request, hooks);
    const total = plan.tensors.reduce((sum, { before }) => sum + before, 0);
    const maxBytes = request.ggml?.maxShardBytes;
    const step = hooks.progress.step(`quantizing to ${head.scheme}`, totalMegabytes(total), "MB");
    const encoded = await check.guard((accept) =>
      encodeFiles(opened.weights, plan, {
        ...{ path: output, threads: usefulThreads(request.encoders ?? defaultThreads(), total), signal: hooks.signal },
        ...{ onBytes: megabytes(step), onResume: (share, name) => hooks.progress.note(resumed(share, name)) },
        ...(importance && { importance }),
        ...(maxBytes !== undefined && { maxBytes }),
        sha256: request.ggml?.sha256 ?? false,
        accept: (files) => {
          step.done();
          return accept(files);
        },
      }).finally(() => step.done()),
    );
    const written = encoded?.written;
    const after = written?.reduce((sum, { size }) => sum + size, 0) ?? plan.size;
    const { run, findings } = check.outcome();
    return {
      ...head,
      // of several files the first, by which the model is opened
      ...(written && { output: join(dirname(output), basename(written[0]!.path)) }),
      ...(run && { run }),
      files: (written ?? []).map(({ path, ...file }) => ({ name: basename(path), ...file })),
      size: ratioOf(head.model.size, after),
      tensors: tensorReports(plan, encoded?.errors ?? new Map()),
      findings: [...findings, ...planFindings(plan)],
      seconds: (performance.now() - began) / 1000,
    };
  });
}
