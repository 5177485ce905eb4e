/** Model files with the facts that go into a report. */
import { stat } from "node:fs/promises";
import { basename } from "node:path";
import { assertLegal } from "../ir/check.ts";
import { modelFacts } from "../pipeline/inspect.ts";
import type { ModelSummary } from "../pipeline/result.ts";
import { type OpenedModel, openModelFile, sha256File } from "./files.ts";

/** A model file with what reports say of it. */
export interface SourceModel extends OpenedModel {
  readonly path: string;
  readonly summary: ModelSummary;
}

/** A model to be worked on: what is not legal is refused, and says where. */
export async function openLegalSource(path: string): Promise<SourceModel> {
  const source = await openSource(path);
  try {
    assertLegal(source.model);
    return source;
  } catch (error) {
    await source.close();
    throw error;
  }
}

export async function openSource(path: string): Promise<SourceModel> {
  const opened = await openModelFile(path);
  const sizes = await Promise.all(opened.files.map(async (file) => (await stat(file)).size));
  const summary = {
    name: basename(path),
    sha256: await sha256File(path),
    size: sizes.reduce((sum, size) => sum + size, 0),
    ...modelFacts(opened.model),
  };
  return { ...opened, path, summary };
}
