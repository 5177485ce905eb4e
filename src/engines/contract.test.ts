import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import { captured } from "../node/captured.ts";
import { readModel } from "../node/external.ts";
import { tempScratch } from "../node/scratch.ts";
import { engineContract } from "./contract.case.ts";
import type { Opened } from "./contract.ts";
import { openOrtNode } from "./ort-node.ts";
import { openOrtWeb } from "./ort-web.ts";

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
  skips: {},
});

engineContract({
  name: "ort-web",
  open: () => opened(openOrtWeb({ readModel, capture: captured, load: () => import("onnxruntime-web") })),
  save,
  skips: { "the histogram counts the nodes of every branch": "its profile holds only the branch that ran" },
});
