/**
 * Experts in matrices of their own. vLLM stacks those of a block and computes them as one layer, whose scheme is that of
 * the first (`CompressedTensorsMoEMethod`), so that all of them are quantized or none.
 */
import type { StoredTensor } from "../../ir/tensor-file.ts";
import { fail } from "../../numeric/errors.ts";
import { EXPERT_MATRICES, expertsHome } from "../../recipes/compressed-tensors.ts";

/** Experts of one block: the largest known models have 512; llama.cpp stops at 1,024. */
const MAX_EXPERTS = 4_096;

/** The experts of one block of layers. */
export interface ExpertBlock {
  /** Name up to "experts". */
  readonly home: string;
  readonly tensors: readonly StoredTensor[];
}

/** The blocks that a model has. */
export function expertBlocks(tensors: Iterable<StoredTensor>): readonly ExpertBlock[] {
  const blocks = new Map<string, StoredTensor[]>();
  for (const tensor of tensors) {
    const home = expertsHome(tensor.name);
    if (home === undefined) continue;
    const own = blocks.get(home) ?? [];
    blocks.set(home, own);
    own.push(tensor);
  }
  return [...blocks].map(([home, own]) => ({ home, tensors: own }));
}

/** Place of a tensor in its block: which expert, which matrix. */
function placeOf({ home }: ExpertBlock, { name }: StoredTensor): readonly [expert: number, matrix: string] | undefined {
  const [, expert, matrix] = /^(\d+)\.(\w+)\.weight$/.exec(name.slice(home.length + 1)) ?? [];
  return expert === undefined ? undefined : [Number(expert), matrix!];
}

/** The names of the three matrices where a block holds nothing else; undefined where vLLM would not stack it. */
function matricesOf(block: ExpertBlock) {
  const names = new Set(block.tensors.map((tensor) => placeOf(block, tensor)?.[1]));
  return EXPERT_MATRICES.find((three) => names.size === three.length && three.every((name) => names.has(name)));
}

/** Whether a block is made of such matrices alone. */
export const isStackable = (block: ExpertBlock): boolean => matricesOf(block) !== undefined;

const shown = ({ shape }: StoredTensor): string => `[${shape.join(", ")}]`;

function checkShape(tensor: StoredTensor, [rows, columns]: readonly number[], first: StoredTensor): void {
  if (tensor.shape.length !== 2 || tensor.shape[0] !== rows || tensor.shape[1] !== columns)
    fail(
      "format",
      `tensor "${tensor.name}" is ${shown(tensor)}, which does not fit "${first.name}", ${shown(first)}; experts of a block have one shape`,
    );
}

/**
 * Fails with code "format" where an expert of a block lacks a matrix or has another shape than the first, or where there
 * are not as many as config.json says; "limit" where there are too many.
 */
export function checkExperts(block: ExpertBlock, stated: number | undefined): void {
  const { home, tensors } = block;
  const matrices = matricesOf(block)!;
  const places = new Map(tensors.map((tensor) => [placeOf(block, tensor)!.join("."), tensor]));
  const count = Math.max(...tensors.map((tensor) => placeOf(block, tensor)![0])) + 1;
  if (count > MAX_EXPERTS) fail("limit", `"${home}" has an expert ${count - 1}; at most ${MAX_EXPERTS} are taken`);
  if (stated !== undefined && stated !== count)
    fail("format", `"${home}" has ${count} experts, but config.json says ${stated}; the folder is incomplete`);
  const at = (expert: number, matrix: string): StoredTensor =>
    places.get(`${expert}.${matrix}`) ??
    fail("format", `tensor "${home}.${expert}.${matrix}.weight" is missing; the folder is incomplete`);
  const first = at(0, matrices[0]);
  const [inner = 0, hidden = 0] = first.shape;
  for (let expert = 0; expert < count; expert++)
    matrices.forEach((matrix, i) => {
      checkShape(at(expert, matrix), i === 2 ? [hidden, inner] : [inner, hidden], first);
    });
}
