/** Plans the quantization of a safetensors model: which tensor becomes what and why, and the exact size of the files. */
import {
  type CompressedForm,
  type Matrix,
  type Part,
  partsOf,
  quantizationConfig,
} from "../../containers/compressed-tensors/index.ts";
import { encodeSafetensors } from "../../containers/safetensors/index.ts";
import type { MetadataValue, StorageType, StoredTensor, TensorFile } from "../../ir/tensor-file.ts";
import { storedBytes } from "../../ir/tensor-file.ts";
import { DTYPES, isDType } from "../../numeric/dtypes.ts";
import { fail } from "../../numeric/errors.ts";
import {
  COMPRESSED_GROUPS,
  type CompressedScheme,
  EXPERTS_PATTERN,
  expertsHome,
  FUSED,
  homePattern,
  OUTPUT_LAYER,
} from "../../recipes/compressed-tensors.ts";
import { type Choice, type Choices, chooseAll, isQuantized, noLinear } from "./choose.ts";
import { expertBlocks } from "./experts.ts";

/** What may be asked for beside the scheme. */
export interface PlanCompressedOptions {
  /** Weights that stay as they are. */
  readonly keep?: readonly RegExp[];
  /** Weights with zero points. */
  readonly asymmetric?: boolean;
  /** Values of a row that share a scale, or all of them, where the scheme has groups. */
  readonly groupSize?: number | "channel";
  readonly algorithm?: "rtn" | "mse";
  /** Most bytes of one file. */
  readonly maxBytes?: number;
  /** Experts of a block, as config.json says. */
  readonly experts?: number | undefined;
}

/** What one tensor becomes. */
export interface CompressedTensorPlan {
  readonly name: string;
  readonly shape: readonly number[];
  readonly from: StorageType;
  readonly to: StorageType;
  /** Present where the tensor is quantized. */
  readonly matrix?: Matrix;
  /** The tensors that stand for it; itself where it stays. */
  readonly parts: readonly Part[];
  /** Bytes in the files that are read, and in the new ones. */
  readonly before: number;
  readonly after: number;
  readonly reason: string;
  /** The type that was wanted, where the groups don't fit the rows. */
  readonly insteadOf?: StorageType;
}

/** What becomes what. */
export interface CompressedPlan {
  readonly scheme: string;
  readonly form: CompressedForm;
  readonly algorithm: "rtn" | "mse";
  readonly tensors: readonly CompressedTensorPlan[];
  readonly metadata: ReadonlyMap<string, MetadataValue>;
  /** What config.json says of it. */
  readonly config: ReturnType<typeof quantizationConfig>;
  /** Exact bytes of the new files of weights and their index. */
  readonly size: number;
  readonly maxBytes: number;
}

/** Hugging Face's own default: 5 GB. */
export const DEFAULT_SHARD_BYTES = 5e9;

const WEIGHT = ".weight";

function formFor(scheme: CompressedScheme, { asymmetric = false, groupSize }: PlanCompressedOptions): CompressedForm {
  const { name, weights, dynamicActivations } = scheme;
  if (asymmetric && !scheme.mayBeAsymmetric)
    fail(
      "usage",
      `--asymmetric means nothing to ${name}: vLLM's kernels know zero points with 4 bits only; leave it out`,
    );
  if (groupSize === undefined) return { weights: { ...weights, symmetric: !asymmetric }, dynamicActivations };
  if (weights.granularity.per !== "group")
    fail("usage", `--group-size means nothing to ${name}, which has one scale per channel; leave it out`);
  if (groupSize !== "channel" && !COMPRESSED_GROUPS.includes(groupSize))
    fail("usage", `--group-size ${groupSize}: vLLM's kernels take ${COMPRESSED_GROUPS.join(", ")} or channel`);
  const granularity =
    groupSize === "channel" ? ({ per: "axis" } as const) : ({ per: "group", size: groupSize } as const);
  return { weights: { ...weights, symmetric: !asymmetric, granularity }, dynamicActivations };
}

/** Endings of what quantized folders hold. */
const FOREIGN = /\.(weight_(packed|scale|scale_inv|zero_point|shape)|qweight|qzeros|scales|g_idx|absmax|quant_map)$/;

function checkFloat({ tensors }: TensorFile): void {
  for (const { name, type } of tensors.values())
    if (FOREIGN.test(name) || (name.endsWith(WEIGHT) && isDType(type) && DTYPES[type].bits <= 8))
      fail(
        "unsupported",
        `tensor "${name}" (${type}): the model is quantized already, and quantizing twice costs accuracy; start from the original in bfloat16, float16 or float32`,
      );
}

/** Bytes of a tensor that is planned. */
export const partBytes = ({ type, shape, name }: Part): number => storedBytes(type, shape, `tensor "${name}"`);

function planTensor(tensor: StoredTensor, choice: Choice, form: CompressedForm): CompressedTensorPlan {
  const { name, shape, type: from, data } = tensor;
  const base = { name, shape, from, before: data.size };
  if ("matrix" in choice) {
    const parts = partsOf(form, choice.matrix);
    const after = parts.reduce((sum, part) => sum + partBytes(part), 0);
    return { ...base, to: form.weights.dtype, matrix: choice.matrix, parts, after, reason: "weight of a linear layer" };
  }
  const parts: readonly Part[] = [{ kind: "codes", name, type: from, shape }];
  const stays = { ...base, to: from, parts, after: data.size };
  return "misfit" in choice
    ? { ...stays, reason: choice.misfit, insteadOf: form.weights.dtype }
    : { ...stays, reason: choice.reason };
}

const moduleOf = (name: string): string => name.slice(0, -WEIGHT.length);

/** Blocks of experts that stay, by one pattern where all do. */
function ignoredExperts(sources: readonly StoredTensor[], choices: Choices): readonly string[] {
  const homes = expertBlocks(sources);
  const staying = homes.filter(({ tensors }) => !tensors.some(({ name }) => isQuantized(choices.get(name)!)));
  if (staying.length === 0) return [];
  return staying.length === homes.length ? [EXPERTS_PATTERN] : staying.map(({ home }) => homePattern(home));
}

/** Linear layers that stay, by the names of their modules. */
function ignored(sources: readonly StoredTensor[], choices: Choices): readonly string[] {
  const linear = [...choices].filter(([, choice]) => "misfit" in choice || ("isLinear" in choice && choice.isLinear));
  const names = linear.map(([name]) => name).filter((name) => expertsHome(name) === undefined);
  const modules = names.map(moduleOf).filter((name) => name !== OUTPUT_LAYER);
  return [OUTPUT_LAYER, ...ignoredExperts(sources, choices), ...modules];
}

/** vLLM computes some layers as one: where a part of them stays, all have to. */
function checkFused(tensors: readonly CompressedTensorPlan[]): void {
  const quantized = new Map(tensors.map(({ name, matrix }) => [name, matrix !== undefined]));
  for (const { name } of tensors)
    for (const members of FUSED) {
      const own = `.${members[0]}${WEIGHT}`;
      if (!name.endsWith(own)) continue;
      const found = members.map((member) => `${name.slice(0, -own.length)}.${member}${WEIGHT}`);
      const there = found.filter((member) => quantized.has(member));
      const stays = there.filter((member) => quantized.get(member) === false);
      if (stays.length > 0 && stays.length < there.length)
        fail(
          "usage",
          `vLLM computes ${there.map((member) => `"${moduleOf(member)}"`).join(", ")} as one layer, so all of them are quantized or none, but only ${stays.map((member) => `"${moduleOf(member)}"`).join(", ")} would stay; keep all, for example by --keep '(${members.join("|")})'`,
        );
    }
}

function checkKeep(keep: readonly RegExp[], tensors: readonly StoredTensor[]): void {
  const weights = tensors.filter((tensor) => noLinear(tensor) === undefined);
  for (const pattern of keep)
    if (!weights.some(({ name }) => pattern.test(name)))
      fail(
        "usage",
        `--keep ${pattern.source} matches no weight that would be quantized, for example "${weights[0]?.name ?? "none"}"; see fewbit inspect for the names`,
      );
}

const unread = (size: number) => ({ size, read: () => fail("format", "a planned tensor has no bytes yet") });

/** The new model without its bytes. */
export const plannedFile = ({ metadata, tensors }: Pick<CompressedPlan, "metadata" | "tensors">): TensorFile => ({
  ...{ container: "safetensors", formatVersion: 1, metadata },
  tensors: new Map(
    tensors
      .flatMap(({ parts }) => parts)
      .map((part) => [part.name, { ...part, data: unread(partBytes(part)) }] as const),
  ),
});

/** What files of weights say of themselves; loaders look for "pt". */
const metadataOf = ({ metadata }: TensorFile): ReadonlyMap<string, MetadataValue> =>
  metadata.has("format") ? metadata : new Map([...metadata, ["format", { type: "string", value: "pt" }]]);

/**
 * Decides on every tensor of a safetensors model. Fails with code "usage" for --keep that matches nothing and layers that
 * would be torn apart, "unsupported" for models that are quantized already or have nothing to quantize.
 */
export function planCompressed(
  file: TensorFile,
  scheme: CompressedScheme,
  options: PlanCompressedOptions = {},
): CompressedPlan {
  checkFloat(file);
  const form = formFor(scheme, options);
  const sources = [...file.tensors.values()];
  const keep = options.keep ?? [];
  checkKeep(keep, sources);
  const choices = chooseAll(sources, { form, keep, experts: options.experts });
  const tensors = sources.map((tensor) => planTensor(tensor, choices.get(tensor.name)!, form));
  checkFused(tensors);
  if (!tensors.some(({ matrix }) => matrix !== undefined))
    fail("unsupported", `none of ${tensors.length} tensors can become ${scheme.name}: ${nothing(tensors)}`);
  const metadata = metadataOf(file);
  const maxBytes = options.maxBytes ?? DEFAULT_SHARD_BYTES;
  const files = encodeSafetensors(plannedFile({ metadata, tensors }), { maxBytes });
  return {
    ...{ scheme: scheme.name, form, algorithm: options.algorithm ?? scheme.algorithm, tensors, metadata, maxBytes },
    config: quantizationConfig(form, ignored(sources, choices)),
    size: files.reduce((sum, { size }) => sum + size, 0),
  };
}

const nothing = (tensors: readonly CompressedTensorPlan[]): string =>
  tensors
    .slice(0, 3)
    .map(({ name, reason }) => `"${name}" (${reason})`)
    .join(", ");
