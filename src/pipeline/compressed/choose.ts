/** Which tensors become codes, and why the others stay. */
import {
  type CompressedForm,
  codesPerWord,
  type Matrix,
  packedBits,
  spanOf,
} from "../../containers/compressed-tensors/index.ts";
import type { StoredTensor } from "../../ir/tensor-file.ts";
import type { DType } from "../../numeric/dtypes.ts";
import { fail } from "../../numeric/errors.ts";
import { EXPERTS_IN_OTHER_FORM, type Kept, keptMatrix } from "../../recipes/compressed-tensors.ts";
import { checkExperts, type ExpertBlock, expertBlocks, isStackable } from "./experts.ts";

/** What weights may be stored in. */
const FLOATS: ReadonlySet<string> = new Set<DType>(["float32", "float16", "bfloat16"]);
const WEIGHT = ".weight";

/** Why a tensor is no weight of a linear layer; undefined where it is one. */
export function noLinear({ name, type, shape }: StoredTensor): Kept | undefined {
  if (!name.endsWith(WEIGHT)) return { reason: "no weight by its name", isLinear: false };
  if (shape.length !== 2) return { reason: `${shape.length} dimensions`, isLinear: false };
  if (!FLOATS.has(type)) return { reason: `elements of type ${type} stay`, isLinear: true };
  return keptMatrix(name);
}

/** What is wanted. */
export interface Wish {
  readonly form: CompressedForm;
  readonly keep: readonly RegExp[];
  /** Experts of a block, where config.json says so. */
  readonly experts: number | undefined;
}

/** What becomes of a tensor: it stays, becomes codes, or can't although it was to. */
export type Choice = Kept | { readonly matrix: Matrix } | { readonly misfit: string };

/** Why rows can't be stored: groups and packed words are whole. */
function misfitOf(form: CompressedForm, columns: number): string | undefined {
  const bits = packedBits(form);
  const span = spanOf(form, columns);
  if (columns % span !== 0) return `rows of ${columns} values are no multiple of the group of ${span}`;
  const perWord = bits === undefined ? 1 : codesPerWord(bits);
  return columns % perWord === 0 ? undefined : `rows of ${columns} values don't fill words of ${perWord} codes`;
}

function choose(tensor: StoredTensor, { form, keep }: Wish): Choice {
  const kept = noLinear(tensor);
  if (kept !== undefined) return kept;
  const [rows, columns] = tensor.shape as readonly [number, number];
  if (keep.some((pattern) => pattern.test(tensor.name))) return { reason: "kept as asked", isLinear: true };
  if (rows === 0 || columns === 0) return { reason: "empty", isLinear: true };
  const misfit = misfitOf(form, columns);
  if (misfit !== undefined) return { misfit };
  return { matrix: { name: tensor.name, rows, columns, dtype: tensor.type as DType } };
}

/** What becomes of each tensor, by name. */
export type Choices = ReadonlyMap<string, Choice>;

/** Whether a tensor becomes codes. */
export const isQuantized = (choice: Choice): boolean => "matrix" in choice;

const TOGETHER: Kept = {
  reason: "stays with the other experts of its block, not all of which fit the groups",
  isLinear: false,
};

function refuseTorn({ home, tensors }: ExpertBlock, choices: Choices): void {
  const kept = tensors.filter(({ name }) => "reason" in choices.get(name)!);
  if (kept.length > 0)
    fail(
      "usage",
      `vLLM computes all experts of "${home}" as one layer, so all of them are quantized or none, but only ${kept.length} of ${tensors.length} matrices would stay, for example "${kept[0]!.name}"; keep all, for example by --keep experts`,
    );
}

/** Why no expert of a block becomes codes, all of which go the same way; undefined where they do. */
function reasonToStay(block: ExpertBlock, choices: Choices, experts: number | undefined): Kept | undefined {
  if (!isStackable(block)) return EXPERTS_IN_OTHER_FORM;
  refuseTorn(block, choices);
  if (block.tensors.some(({ name }) => "misfit" in choices.get(name)!)) return TOGETHER;
  checkExperts(block, experts);
  return undefined;
}

/** Experts of a block that stay although they could be codes. */
function* held(block: ExpertBlock, choices: Choices, experts: number | undefined): Iterable<readonly [string, Kept]> {
  if (block.tensors.every(({ name }) => "reason" in choices.get(name)!)) return;
  const reason = reasonToStay(block, choices, experts);
  if (reason !== undefined)
    for (const { name } of block.tensors) if (isQuantized(choices.get(name)!)) yield [name, reason];
}

/**
 * Decides on every tensor. Fails with code "usage" where --keep tears experts of a block apart, "format" where experts
 * are missing or don't fit each other.
 */
export function chooseAll(tensors: readonly StoredTensor[], wish: Wish): Choices {
  const choices = new Map(tensors.map((tensor) => [tensor.name, choose(tensor, wish)]));
  return new Map([...choices, ...expertBlocks(tensors).flatMap((block) => [...held(block, choices, wish.experts)])]);
}
