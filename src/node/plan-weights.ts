/** From what was asked to the plan of a GGUF model: by a scheme, or by a size. */
import { readFile, stat } from "node:fs/promises";
import type { TensorFile } from "../ir/tensor-file.ts";
import type { GgmlFormatName } from "../kernels/ggml/index.ts";
import { isGgmlFormat } from "../kernels/ggml/index.ts";
import { FewbitError, fail } from "../numeric/errors.ts";
import { didYouMean } from "../numeric/suggest.ts";
import type { Hooks } from "../pipeline/progress.ts";
import {
  formatErrors,
  MAX_ERRORS_CHARACTERS,
  type MeasuredErrors,
  type NamedImportance,
  type PlanWeightsOptions,
  parseErrors,
  planTarget,
  planWeights,
  type SizeTarget,
  sizeLabel,
  type TargetPlan,
  type WeightsPlan,
} from "../pipeline/weights/index.ts";
import { FILE_TYPE_NAMES, type FileTypeName, fileTypeNamed, type TypeOverride } from "../recipes/ggml/index.ts";
import { withIoErrors } from "./io-errors.ts";
import { keepPattern } from "./keep-pattern.ts";
import type { QuantizeRequest } from "./requests.ts";
import { writeText } from "./write-text.ts";

/** A plan, and what it is called in reports and names of files: "q4_k_m", "4.5bpw", "4.2GB". */
export interface NamedPlan {
  readonly plan: WeightsPlan | TargetPlan;
  readonly name: string;
}

/** The file type of a name that was typed. */
function schemeOf({ schemes }: QuantizeRequest): FileTypeName {
  const [name = ""] = schemes;
  const known = `(known: ${FILE_TYPE_NAMES.join(", ")})`;
  if (name === "")
    return fail(
      "usage",
      `a GGUF model is quantized to a scheme, or to a size with --target-bpw or --target-size; name one with -s ${known}`,
    );
  return (
    fileTypeNamed(name.toLowerCase()) ??
    fail("usage", `scheme ${name} is not one of GGUF's${didYouMean(name, FILE_TYPE_NAMES)} ${known}`)
  );
}

/** What a size is called. */
const targetName = (target: SizeTarget): string =>
  "bytes" in target ? sizeLabel(target.bytes) : `${target.bitsPerWeight}bpw`;

/** Name of what is asked for, before anything is opened. Fails with code "usage" for what does not go together. */
export function weightsName(request: QuantizeRequest): string {
  const { target, types } = request.ggml ?? {};
  if (target === undefined && types !== undefined)
    fail("usage", "--target-types limits what --target-bpw and --target-size choose from; name one of these too");
  if (target === undefined && request.stats !== undefined)
    fail("usage", "--stats has no meaning for GGUF without --target-bpw or --target-size; leave it out");
  if (target === undefined) return schemeOf(request);
  if (request.schemes.length > 0)
    fail("usage", "a target size chooses the types by itself; leave out -s, or limit the types with --target-types");
  return targetName(target);
}

function formatNamed(type: string, where: string): GgmlFormatName {
  const name = type.toLowerCase();
  return isGgmlFormat(name) ? name : fail("usage", `${where}: there is no type ${type} that tensors can be written in`);
}

const overrideOf = ({ pattern, type }: { readonly pattern: RegExp; readonly type: string }): TypeOverride => ({
  pattern,
  type: formatNamed(type, `--tensor-type ${pattern.source}=${type}`),
});

function planOptions(request: QuantizeRequest, importance: NamedImportance | undefined): PlanWeightsOptions {
  const { tensorTypes = [], pure = false, requantize = false, maxShardBytes } = request.ggml ?? {};
  return {
    ...{
      pure,
      requantize,
      keep: request.keep.map((rule) => keepPattern(rule, "GGUF, which holds no ops")),
      overrides: tensorTypes.map(overrideOf),
    },
    ...(importance && { importance }),
    ...(maxShardBytes !== undefined && { maxBytes: maxShardBytes }),
  };
}

type Errors = Map<string, MeasuredErrors>;

async function savedErrors(path: string): Promise<Errors> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) return new Map();
  if (found.size > MAX_ERRORS_CHARACTERS)
    fail("limit", `"${path}" has ${found.size} bytes; measured errors take at most ${MAX_ERRORS_CHARACTERS}`);
  const text = await withIoErrors("read", path, () => readFile(path, "utf8"));
  try {
    return new Map(parseErrors(text));
  } catch (error) {
    if (!(error instanceof FewbitError)) throw error;
    return fail(error.code, `"${path}": ${error.message}`, error);
  }
}

/** Seconds between two savings of what was measured. */
const SAVE_SECONDS = 20;

interface Keeper {
  readonly measured: Errors;
  readonly onMeasured: (tensor: string, errors: MeasuredErrors) => Promise<void>;
  save(): Promise<void>;
}

/** Keeps measured errors in a file; written now and then, so that an interrupted run does not begin again. */
async function keeperOf(path: string | undefined): Promise<Keeper> {
  const measured: Errors = path === undefined ? new Map() : await savedErrors(path);
  let saved = performance.now();
  const save = async (): Promise<void> => {
    saved = performance.now();
    if (path !== undefined) await writeText(path, formatErrors(measured));
  };
  const onMeasured = async (tensor: string, errors: MeasuredErrors): Promise<void> => {
    measured.set(tensor, errors);
    if (performance.now() - saved > SAVE_SECONDS * 1000) await save();
  };
  return { measured, onMeasured, save };
}

async function planSize(
  weights: TensorFile,
  target: SizeTarget,
  request: QuantizeRequest,
  options: PlanWeightsOptions,
  hooks: Hooks,
): Promise<TargetPlan> {
  const { types, seed = 0 } = request.ggml ?? {};
  const { measured, onMeasured, save } = await keeperOf(request.stats);
  const allowed = types?.map((type) => formatNamed(type, "--target-types"));
  const known = new Map(measured);
  try {
    return await planTarget(weights, target, {
      ...{ ...options, seed, measured: known, onMeasured, hooks },
      ...(allowed && { types: allowed }),
    });
  } finally {
    await save();
  }
}

/** The plan that a request leads to. A size is planned from measured errors, so tensors are read; a scheme needs the header alone. */
export async function planRequest(
  request: QuantizeRequest,
  weights: TensorFile,
  importance: NamedImportance | undefined,
  hooks: Hooks,
): Promise<NamedPlan> {
  const name = weightsName(request);
  const options = planOptions(request, importance);
  const { target } = request.ggml ?? {};
  const plan =
    target === undefined
      ? planWeights(weights, name as FileTypeName, options)
      : await planSize(weights, target, request, options, hooks);
  return { plan, name };
}
