/** Which engine runs models on this machine. */
import type { Engine, Opened } from "../engines/contract.ts";
import { openLitert } from "../engines/litert.ts";
import { openOrtNode } from "../engines/ort-node.ts";
import { openOrtWeb } from "../engines/ort-web.ts";
import { tfliteReference } from "../engines/tflite-reference.ts";
import type { ContainerName } from "../ir/model.ts";
import { fail } from "../numeric/errors.ts";
import { captured } from "./captured.ts";
import { ENGINE_NAMES, type EngineName, type OrtEngineName } from "./engine-names.ts";
import { readModel } from "./external.ts";
import { loadLitert, readTfliteFile } from "./litert.ts";
import { tempScratch } from "./scratch.ts";

export { ENGINE_NAMES, type EngineName, type OrtEngineName } from "./engine-names.ts";

/** Which engine is wanted, and how. */
export interface EngineWish {
  /** What the models are in; ONNX by default. */
  readonly container?: ContainerName;
  /**
   * The first of the container's engines by default. The environment variable FEWBIT_ENGINE decides when nothing is
   * asked for, where the engine it names runs the container.
   */
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

interface EngineRow {
  readonly open: (wish: EngineWish) => Promise<Opened>;
  /** What a person should know when the next engine has to do. */
  readonly replaced?: (reason: string) => string;
}

const ENGINES: Readonly<Record<EngineName, EngineRow>> = {
  "ort-node": {
    open: () => openOrtNode({ scratch: tempScratch }),
    replaced: (reason) =>
      `Models run on WebAssembly because ${reason}; \`npm install onnxruntime-node --ignore-scripts\` makes them several times faster.`,
  },
  "ort-web": {
    open: ({ threads = 1 }) =>
      openOrtWeb({ threads, readModel, capture: captured, load: () => import("onnxruntime-web") }),
  },
  litert: { open: () => openLitert({ load: loadLitert, readModel: readTfliteFile }) },
  reference: { open: async () => ({ engine: tfliteReference({ readModel: readTfliteFile }) }) },
};

/** In order of preference. */
const ORT_ENGINES: readonly OrtEngineName[] = ["ort-node", "ort-web"];

/** Engines that run a container, in order of preference. */
const PREFERENCE: Readonly<Partial<Record<ContainerName, readonly EngineName[]>>> = {
  onnx: ORT_ENGINES,
  tflite: ["litert", "reference"],
};

const either = (names: readonly string[]): string =>
  names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} or ${names.at(-1)}`;

function known(name: string): EngineName {
  const found = ENGINE_NAMES.find((engine) => engine === name);
  return found ?? fail("usage", `engine "${name}" is not known; use ${either(ENGINE_NAMES)}`);
}

/** The engines to try, in order: those from the wished one on. */
function candidates({ container = "onnx", prefer }: EngineWish): readonly EngineName[] {
  const able = PREFERENCE[container] ?? fail("unsupported", `no engine runs ${container} models`);
  const wished = prefer ?? process.env.FEWBIT_ENGINE;
  if (wished === undefined) return able;
  const at = able.indexOf(known(wished));
  if (at < 0 && prefer !== undefined)
    fail("usage", `engine "${prefer}" does not run ${container} models; use ${either(able)}`);
  return able.slice(Math.max(0, at));
}

/** The first engine that is installed, with a note where it is not the first choice. */
export async function availableEngines(wish: EngineWish = {}): Promise<AvailableEngine> {
  const notes: string[] = [];
  let reason = "";
  for (const name of candidates(wish)) {
    const opened = await ENGINES[name].open(wish);
    if (opened.engine) return { engine: opened.engine, notes };
    reason = opened.reason;
    notes.push(ENGINES[name].replaced?.(reason) ?? reason);
  }
  return fail("engine", `no engine can run models here: ${reason}`);
}
