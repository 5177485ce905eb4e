/** fewbit quantize for GGUF files: one scheme or several, each to a file of its own. */
import { basename, dirname, join } from "node:path";
import { parseShardName } from "../containers/gguf/index.ts";
import { FewbitError, fail } from "../numeric/errors.ts";
import type { Hooks } from "../pipeline/progress.ts";
import type { SeveralWeightsReport, WeightsQuantizeReport } from "../pipeline/weights/index.ts";
import { makeFolders, removeEmptyFolders } from "./folders.ts";
import { weightsName } from "./plan-weights.ts";
import { planWeightsFile, quantizeWeightsFile } from "./quantize-weights.ts";
import type { QuantizeRequest } from "./requests.ts";

/** What is done with one scheme, and where its file goes. */
type One = (request: OneRequest, hooks: Hooks) => Promise<WeightsQuantizeReport>;

/** A request for one file. */
type OneRequest = QuantizeRequest & { readonly output: string };

/** "model.gguf" and the first of its shards become "model.NAME.gguf". */
function fileName(model: string, name: string): string {
  const whole = parseShardName(basename(model))?.name ?? basename(model);
  return `${whole.replace(/\.gguf$/i, "")}.${name}.gguf`;
}

const isFile = (output: string): boolean => output.toLowerCase().endsWith(".gguf");

/** Requests for one scheme each, with their output: the file that was named, or one in that folder, or beside the model. */
function requestsFor(request: QuantizeRequest): ReadonlyMap<string, OneRequest> {
  const { output, model, schemes } = request;
  const each = schemes.length === 0 ? [[]] : schemes.map((scheme) => [scheme]);
  const named = new Map(each.map((own) => [weightsName({ ...request, schemes: own }), own]));
  if (output !== undefined && isFile(output) && named.size > 1)
    fail("usage", `${named.size} schemes make ${named.size} files; give -o a folder, found "${output}"`);
  const path = (name: string) =>
    output !== undefined && isFile(output) ? output : join(output ?? dirname(model), fileName(model, name));
  return new Map([...named].map(([name, own]) => [name, { ...request, schemes: own, output: path(name) }]));
}

/** Whether a failure is that of one scheme, so that others may still work. */
const isOwn = (error: unknown): error is FewbitError =>
  error instanceof FewbitError && error.code !== "cancelled" && error.code !== "io";

/** One failure among several schemes is a line of the report; when all fail, the first one is the answer. */
async function all(request: QuantizeRequest, hooks: Hooks, make: One) {
  const began = performance.now();
  const requests = requestsFor(request);
  if (requests.size === 1) return make([...requests.values()][0]!, hooks);
  const candidates: WeightsQuantizeReport[] = [];
  const refused: SeveralWeightsReport["refused"][number][] = [];
  let first: FewbitError | undefined;
  for (const [scheme, own] of requests)
    try {
      candidates.push(await make(own, hooks));
    } catch (error) {
      if (!isOwn(error)) throw error;
      first ??= error;
      refused.push({ scheme, code: error.code, reason: error.message });
    }
  if (candidates.length === 0 && first !== undefined) throw first;
  const { model } = candidates[0]!;
  const seconds = (performance.now() - began) / 1000;
  return { kind: "quantize-weights-several", model, candidates, refused, seconds } as const;
}

/** What a GGUF model would become; see `planWeightsFile`. */
export const planWeightsFiles = (
  request: QuantizeRequest,
  hooks: Hooks,
): Promise<WeightsQuantizeReport | SeveralWeightsReport> => all(request, hooks, planWeightsFile);

/** Quantizes a GGUF model: a file for each scheme, each written whole or not at all. */
export async function quantizeWeightsFiles(
  request: QuantizeRequest,
  hooks: Hooks,
): Promise<WeightsQuantizeReport | SeveralWeightsReport> {
  const [first] = requestsFor(request).values();
  const made = await makeFolders(dirname(first!.output));
  try {
    return await all(request, hooks, quantizeWeightsFile);
  } finally {
    await removeEmptyFolders(made);
  }
}
