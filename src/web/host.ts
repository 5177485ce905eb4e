/** What a browser lends the pipeline: an engine in WebAssembly, and memory in place of files. */
import { encodeOnnx } from "../containers/onnx/index.ts";
import type { MemoryPlace } from "../engines/contract.ts";
import { type OrtWebOptions, openOrtWeb } from "../engines/ort-web.ts";
import type { Model } from "../ir/model.ts";
import { collect } from "../ir/source.ts";
import { fail } from "../numeric/errors.ts";
import { sha256 } from "../numeric/sha256.ts";
import type { Host, Staged } from "../pipeline/host.ts";

/** A model in memory; `place.bytes` is the file to offer for download. */
export interface StagedBytes extends Staged {
  readonly place: MemoryPlace;
}

/** A host without files and processes: memory is not measured. */
export interface WebHost extends Host {
  stage(model: Model, name: string): Promise<StagedBytes>;
}

/** Safari has no such symbol yet; what is staged is disposed of by this name. */
function ensureDisposal(): void {
  if (Symbol.asyncDispose === undefined)
    Object.defineProperty(Symbol, "asyncDispose", { value: Symbol("Symbol.asyncDispose") });
}

/** Writes a model to memory, weights inside; more than 2 GiB is an error of code "limit". */
export async function stageInMemory(model: Model, name: string): Promise<StagedBytes> {
  ensureDisposal();
  const { main } = encodeOnnx(model, { name });
  const bytes = await collect(main);
  return {
    place: { bytes },
    files: [{ name, size: bytes.length, sha256: await sha256(bytes) }],
    size: bytes.length,
    async [Symbol.asyncDispose]() {},
  };
}

/**
 * The host for browsers and workers. `options` go to the engine: threads need a cross-origin isolated page. Fails with
 * code "engine" where onnxruntime-web can't be loaded.
 */
export async function webHost(options: OrtWebOptions = {}): Promise<WebHost> {
  const { engine, reason } = await openOrtWeb(options);
  return engine ? { engine, threads: options.threads ?? 1, stage: stageInMemory } : fail("engine", reason);
}
