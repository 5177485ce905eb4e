import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import { captured } from "../node/captured.ts";
import { readModel } from "../node/external.ts";
import { loadLitert, readTfliteFile } from "../node/litert.ts";
import { tempScratch } from "../node/scratch.ts";
import { engineContract } from "./contract.case.ts";
import type { Engine, Opened } from "./contract.ts";
import { ONNX_MODELS } from "./contract-onnx.case.ts";
import { TFLITE_MODELS } from "./contract-tflite.case.ts";
import { openLitert } from "./litert.ts";
import { openOrtNode } from "./ort-node.ts";
import { openOrtWeb } from "./ort-web.ts";
import { tfliteReference } from "./tflite-reference.ts";

const folders: string[] = [];

async function save(files: readonly { readonly name: string; readonly bytes: Uint8Array }[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "fewbit-contract-"));
  folders.push(folder);
  for (const { name, bytes } of files) await writeFile(join(folder, name), bytes);
  return join(folder, files[0]?.name ?? "");
}

afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true }))));

const opened = async (loading: Promise<Opened>) => {
  const { engine, reason } = await loading;
  if (engine === undefined) throw new Error(reason);
  return engine;
};

engineContract({
  name: "ort-node",
  open: () => opened(openOrtNode({ scratch: tempScratch })),
  save,
  models: ONNX_MODELS,
  skips: {},
});

engineContract({
  name: "ort-web",
  open: () => opened(openOrtWeb({ readModel, capture: captured, load: () => import("onnxruntime-web") })),
  save,
  models: ONNX_MODELS,
  skips: { "the histogram counts the nodes of every branch": "its profile holds only the branch that ran" },
});

let litert: Promise<Engine> | undefined;
const NO_PROFILE = "LiteRT's WebAssembly has no profile";

engineContract({
  name: "litert",
  open: () => {
    litert ??= opened(openLitert({ load: loadLitert, readModel: readTfliteFile }));
    return litert;
  },
  save,
  models: TFLITE_MODELS,
  skips: {
    "external data is found in memory": "TFLite files hold their weights",
    "external data is found beside a model that is opened by path": "TFLite files hold their weights",
    "the profile has every node once, with the time of all runs": NO_PROFILE,
    "names of nodes that need escaping survive in the profile": NO_PROFILE,
    "a session that was not opened for it has no profile": NO_PROFILE,
  },
});

const ONNX_NAMES = "the case expects names and ops of ONNX nodes";

engineContract({
  name: "reference",
  open: async () => tfliteReference({ readModel: readTfliteFile }),
  save,
  models: TFLITE_MODELS,
  skips: {
    "external data is found in memory": "TFLite files hold their weights",
    "external data is found beside a model that is opened by path": "TFLite files hold their weights",
    "branches of a sub-graph are chosen at run time": "it has no kernels for branches",
    "the profile has every node once, with the time of all runs": ONNX_NAMES,
    "names of nodes that need escaping survive in the profile": ONNX_NAMES,
    "a model that can't be opened is refused with the place and the reason":
      "types are refused by the node that meets them",
  },
});
