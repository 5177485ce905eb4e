/** What Node lends the pipeline: an engine, temporary files, fresh processes. */

import { inNumbers } from "../engines/numbers.ts";
import type { ContainerName } from "../ir/model.ts";
import type { Host } from "../pipeline/host.ts";
import { availableEngines, type EngineName } from "./engines.ts";
import { isProbed, type ProbedEngine, probe } from "./probe.ts";
import type { EngineRequest } from "./requests.ts";
import { type StagedFiles, stageModel } from "./stage.ts";

/** The host of Node: an engine, temporary files, fresh processes to measure memory in. */
export interface NodeHost extends Host {
  /** What a person should know about the engine. */
  readonly notes: readonly string[];
  stage(model: Parameters<Host["stage"]>[0], name: string, use?: "scratch" | "output"): Promise<StagedFiles>;
}

/**
 * `output` is the folder the results will be put in: they are staged beside it, so that moving them is a rename. The
 * engine is one that runs `container`.
 */
export async function nodeHost(
  request: EngineRequest,
  signal: AbortSignal,
  output?: string,
  container: ContainerName = "onnx",
): Promise<NodeHost> {
  const prefer = request.engine ? { prefer: request.engine as EngineName } : {};
  const wish = { container, threads: request.threads, ...prefer };
  const { engine, notes } = await availableEngines(wish);
  return {
    engine: inNumbers(engine),
    notes,
    threads: request.threads,
    stage: (model, name, use) => stageModel(model, name, use === "output" ? output : undefined, signal),
    ...(isProbed(engine.name) && { footprint: footprintOf(engine.name, request.threads, signal) }),
  };
}

const footprintOf =
  (engine: ProbedEngine, threads: number, signal: AbortSignal): NonNullable<Host["footprint"]> =>
  async (place, feeds) => {
    if (!("path" in place)) return { resident: 0, load: 0 };
    const { residentBytes, loadMs } = await probe(place.path, { engine, threads, feeds, signal });
    return { resident: residentBytes, load: loadMs };
  };
