/** fewbit quantize for models with a graph: a file, or the folder of a transformers.js model. */
import { fail } from "../numeric/errors.ts";
import type { Hooks } from "../pipeline/progress.ts";
import type { DryRun, QuantizeReport } from "../pipeline/result.ts";
import { isFolder } from "./folders.ts";
import { planFile, quantizeFile } from "./quantize.ts";
import { quantizeFolder } from "./quantize-folder.ts";
import type { QuantizeRequest } from "./requests.ts";

/** Options of GGUF mean nothing to a model with a graph. */
function refuseGgml({ ggml, model }: QuantizeRequest): void {
  if (ggml !== undefined)
    fail(
      "usage",
      `--imatrix, --tensor-type, --pure, --requantize, --target-bpw, --target-size, --target-types, --max-shard-size and --sha256 are for GGUF files, and ${model} is none; leave them out`,
    );
}

/** Quantizes a model with a graph, or a transformers.js model folder, runs every result, and writes those that work. */
export async function quantizeModel(request: QuantizeRequest, hooks: Hooks): Promise<QuantizeReport> {
  refuseGgml(request);
  return (await isFolder(request.model)) ? quantizeFolder(request, hooks) : quantizeFile(request, hooks);
}

/** What `quantizeModel` would do with a model file. */
export async function planGraph(request: QuantizeRequest, hooks: Hooks): Promise<DryRun> {
  refuseGgml(request);
  return (await isFolder(request.model))
    ? fail(
        "usage",
        `${request.model} is a folder; --dry-run plans one model file, for example ${request.model}/onnx/model.onnx`,
      )
    : planFile(request, hooks);
}
