/** fewbit quantize FOLDER -s q4_k_m: a folder of safetensors becomes GGUF in a temporary place, and that is quantized. */
import { mkdir } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { fail } from "../numeric/errors.ts";
import type { Hooks } from "../pipeline/progress.ts";
import type { SeveralWeightsReport, WeightsQuantizeReport } from "../pipeline/weights/index.ts";
import { fileTypeNamed } from "../recipes/ggml/index.ts";
import { convertBetween } from "./convert-folder.ts";
import { makeFolders, removeEmptyFolders } from "./folders.ts";
import { withIoErrors } from "./io-errors.ts";
import { quantizeWeightsFiles } from "./quantize-weights-several.ts";
import type { QuantizeRequest } from "./requests.ts";
import { holdsSafetensors } from "./safetensors-folder.ts";
import { removeTemporary, sweepStale, temporaryPath } from "./temporaries.ts";

type Report = WeightsQuantizeReport | SeveralWeightsReport;

/** Whether a request is for GGUF files of a folder of safetensors: all schemes are GGUF's, or the file is to be. */
export async function wantsGguf({ model, schemes, output }: QuantizeRequest): Promise<boolean> {
  const isNamed = schemes.some((name) => fileTypeNamed(name.toLowerCase()) !== undefined);
  return (isNamed || /\.gguf$/i.test(output ?? "")) && holdsSafetensors(model);
}

/** Under the folder's name, not that of the file in between. */
function renamed<R extends Report>(report: R, name: string): R {
  const model = { ...report.model, name };
  return "candidates" in report
    ? { ...report, model, candidates: report.candidates.map((candidate) => ({ ...candidate, model })) }
    : { ...report, model };
}

/** Converts, quantizes, and leaves nothing of the file in between, which has 16 bits of the kind the weights are in. */
export async function quantizeFolderGguf(request: QuantizeRequest, hooks: Hooks): Promise<Report> {
  const folder = resolve(request.model);
  const output = request.output ?? dirname(folder);
  const target = resolve(/\.gguf$/i.test(output) ? dirname(output) : output);
  const made = await makeFolders(target);
  await sweepStale(target);
  const inner = temporaryPath(target);
  try {
    await withIoErrors("write", target, () => mkdir(inner, { mode: 0o700 }));
    const model = join(inner, `${basename(folder)}.gguf`);
    await convertBetween({ model: folder, output: model, type: "auto" }, hooks);
    return renamed(await quantizeWeightsFiles({ ...request, model, output }, hooks), basename(folder));
  } finally {
    await removeTemporary(inner);
    await removeEmptyFolders(made);
  }
}

/** A plan needs the file in between, which a dry run does not write. */
export const planFolderGguf = ({ model }: QuantizeRequest): never =>
  fail(
    "usage",
    `${model}: --dry-run plans GGUF files, not folders that become one; convert it first: fewbit convert ${model} -o model.gguf`,
  );
