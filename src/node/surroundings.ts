/** Model files with the facts that go into a report. */
import { basename } from "node:path";
import { assertLegal } from "../ir/check.ts";
import { modelFacts } from "../pipeline/inspect.ts";
import type { ModelSummary } from "../pipeline/result.ts";
import { sizeOf } from "./file-sizes.ts";
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
  const summary = {
    name: basename(path),
    sha256: await sha256File(path),
    size: await sizeOf(opened.files),
    ...modelFacts(opened.model),
  };
  return { ...opened, path, summary };
}
