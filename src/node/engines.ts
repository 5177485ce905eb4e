/** Which engine runs models on this machine. */
import type { Engine, Opened } from "../engines/contract.ts";
import { openOrtNode } from "../engines/ort-node.ts";
import { openOrtWeb } from "../engines/ort-web.ts";
import { fail } from "../numeric/errors.ts";
import { captured } from "./captured.ts";
import { readModel } from "./external.ts";
import { tempScratch } from "./scratch.ts";

/** Engines by the names that --engine takes. */
export type EngineName = "ort-node" | "ort-web";

/** Which engine is wanted, and how. */
export interface EngineWish {
  /** `ort-node` by default; the environment variable FEWBIT_ENGINE decides when nothing is asked for. */
  readonly prefer?: EngineName;
  /** Threads of the WebAssembly engine, which are fixed when it starts; the native one takes them per session. */
  readonly threads?: number;
}

/** The engine that will run models. */
export interface AvailableEngine {
  readonly engine: Engine;
  /** What a person should know about the choice. */
  readonly notes: readonly string[];
}

/** Names that `EngineWish.prefer` and FEWBIT_ENGINE take. */
export const ENGINE_NAMES: readonly EngineName[] = ["ort-node", "ort-web"];

const isEngineName = (name: string): name is EngineName => (ENGINE_NAMES as readonly string[]).includes(name);

const openNative = (): Promise<Opened> => openOrtNode({ scratch: tempScratch });

const openWasm = (threads = 1): Promise<Opened> =>
  openOrtWeb({ threads, readModel, capture: captured, load: () => import("onnxruntime-web") });

function wished(prefer: string | undefined): EngineName {
  const name = prefer ?? process.env.FEWBIT_ENGINE ?? "ort-node";
  return isEngineName(name) ? name : fail("usage", `engine "${name}" is not known; use ${ENGINE_NAMES.join(" or ")}`);
}

const slower = (reason: string): string =>
  `Models run on WebAssembly because ${reason}; \`npm install onnxruntime-node --ignore-scripts\` makes them several times faster.`;

/** The native engine where it is installed, else WebAssembly, with a note that says so. */
export async function availableEngines(wish: EngineWish = {}): Promise<AvailableEngine> {
  const native = wished(wish.prefer) === "ort-node" ? await openNative() : undefined;
  if (native?.engine) return { engine: native.engine, notes: [] };
  const wasm = await openWasm(wish.threads);
  if (!wasm.engine) fail("engine", `no engine can run models here: ${wasm.reason}`);
  return { engine: wasm.engine, notes: native ? [slower(native.reason)] : [] };
}
