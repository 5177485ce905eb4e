/** fewbit convert, by what the model is: a graph in a file, or a folder of weights. */
import { fail } from "../numeric/errors.ts";
import type { ConvertFolderReport } from "../pipeline/convert-folder.ts";
import type { Hooks } from "../pipeline/progress.ts";
import type { ConvertReport } from "../pipeline/result.ts";
import { convertFile } from "./convert.ts";
import { convertFolder } from "./convert-folder.ts";
import { isFolder } from "./folders.ts";
import { isWeightsPath } from "./open-weights.ts";
import type { ConvertFolderRequest, ConvertRequest } from "./requests.ts";

export { convertFolder };

/** An engine of graphs means nothing to a folder of weights. */
function folderRequest({ type = "auto", engine, ...rest }: ConvertRequest & Partial<ConvertFolderRequest>) {
  if (engine !== undefined)
    fail("usage", `--engine is for models with a graph, and ${rest.model} is none; leave it out`);
  return { ...rest, type };
}

/** A model in another container: TFLite as ONNX, or a folder of safetensors as GGUF. */
export async function convert(
  request: ConvertRequest & Partial<ConvertFolderRequest>,
  hooks: Hooks,
): Promise<ConvertReport | ConvertFolderReport> {
  const { model, type, pre, dryRun } = request;
  if (isWeightsPath(model) || (await isFolder(model))) return convertFolder(folderRequest(request), hooks);
  if (type !== undefined || pre !== undefined || dryRun !== undefined)
    fail("usage", `--type, --pre and --dry-run are for folders of safetensors, and ${model} is none; leave them out`);
  return convertFile(request, hooks);
}
