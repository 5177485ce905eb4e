/** Experts in stacks: the matrices of one kind of all experts of a block become one tensor of three dimensions. */
import { joinedSource } from "../../ir/source.ts";
import type { StoredTensor } from "../../ir/tensor-file.ts";
import { fail } from "../../numeric/errors.ts";
import type { ExpertStacks } from "./architectures.ts";
import { type Config, countSetting } from "./config.ts";

/** LLAMA_MAX_EXPERTS of llama.cpp v0.5.0. */
const MAX_EXPERTS = 1024;

/** How many experts a block has, and how many of them see a token. */
function expertCount(config: Config, { count }: ExpertStacks): number {
  const experts = countSetting(config, count);
  if (experts > MAX_EXPERTS)
    fail("limit", `config.json: "${count}" is ${experts}; llama.cpp takes ${MAX_EXPERTS} experts at most`);
  const used = countSetting(config, "num_experts_per_tok");
  if (used > experts) fail("format", `config.json: "num_experts_per_tok" is ${used}, but there are ${experts} experts`);
  return experts;
}

/** Matrices of a block by "EXPERT.MATRIX". */
type Block = Map<string, StoredTensor>;

function checkAlike(tensor: StoredTensor, first: StoredTensor): void {
  const [own, other] = [tensor, first].map(({ type, shape }) => `${type} [${shape.join(", ")}]`);
  if (own !== other)
    fail(
      "format",
      `GGUF: tensor "${tensor.name}" is ${own}, but "${first.name}" is ${other}; experts of a block are alike`,
    );
}

/** One stack: `[experts, rows, columns]`, read from where its matrices are. */
function stackOf(name: string, matrices: readonly StoredTensor[]): StoredTensor {
  const [first] = matrices as readonly [StoredTensor];
  for (const matrix of matrices) checkAlike(matrix, first);
  if (first.shape.length !== 2)
    fail("format", `GGUF: tensor "${first.name}" has ${first.shape.length} dimensions, expected a matrix`);
  const data = joinedSource(matrices.map((matrix) => matrix.data));
  return { name, type: first.type, shape: [matrices.length, ...first.shape], data };
}

/** Blocks of experts as their matrices come in. */
interface Blocks {
  readonly stacks: ExpertStacks;
  readonly experts: number;
  readonly found: Map<string, Block>;
}

/** Takes a matrix in, and gives the stacks of its block where it was the last. */
function stacksWith(tensor: StoredTensor, [place, expert, matrix]: Place, blocks: Blocks): readonly StoredTensor[] {
  const { stacks, experts, found } = blocks;
  if (expert >= experts)
    fail("format", `GGUF: tensor "${tensor.name}" is one too many: config.json says "${stacks.count}" is ${experts}`);
  const block: Block = found.get(place) ?? new Map();
  found.set(place, block.set(`${expert}.${matrix}`, tensor));
  if (block.size < experts * stacks.matrices.length) return [];
  const all = Array.from({ length: experts }, (_, i) => i);
  return stacks.matrices.map((kind) =>
    stackOf(
      `${place}.${kind}.weight`,
      all.map((i) => block.get(`${i}.${kind}`)!),
    ),
  );
}

type Place = readonly [place: string, expert: number, matrix: string];

/** Which matrix of which expert a tensor is; undefined for those of no expert. */
function placeOf(name: string, { home, matrices }: ExpertStacks): Place | undefined {
  const [, place, before, expert, matrix] =
    /^((model\.layers\.\d{1,6}\.\w+)\.experts)\.(\d{1,6})\.(\w+)\.weight$/.exec(name) ?? [];
  const isOwn = before?.endsWith(`.${home}`) && matrices.includes(matrix!);
  return isOwn ? [place!, Number(expert), matrix!] : undefined;
}

/** Where the experts are that a tensor chooses; undefined for all other tensors. */
const chosenBy = (name: string, { home }: ExpertStacks): string | undefined => {
  const end = `.${home}.gate.weight`;
  return name.endsWith(end) ? `${name.slice(0, -end.length)}.${home}.experts` : undefined;
};

function checkComplete({ stacks, experts, found }: Blocks): void {
  for (const [place, block] of found)
    for (let expert = 0; expert < experts; expert++)
      for (const matrix of stacks.matrices)
        if (!block.has(`${expert}.${matrix}`))
          fail(
            "format",
            `GGUF: tensor "${place}.${expert}.${matrix}.weight" is missing; config.json says "${stacks.count}" is ${experts}`,
          );
}

/**
 * The same tensors with experts in stacks, each block's in place of the last of its matrices, as in llama.cpp's converter.
 * Fails with code "format" where an expert is missing, one too many, or unlike the first.
 */
export function* stackExperts(
  tensors: Iterable<StoredTensor>,
  stacks: ExpertStacks,
  config: Config,
): Iterable<StoredTensor> {
  const blocks: Blocks = { stacks, experts: expertCount(config, stacks), found: new Map() };
  for (const tensor of tensors) {
    const router = chosenBy(tensor.name, stacks);
    if (router !== undefined && !blocks.found.has(router)) blocks.found.set(router, new Map());
    const place = placeOf(tensor.name, stacks);
    yield* place === undefined ? [tensor] : stacksWith(tensor, place, blocks);
  }
  checkComplete(blocks);
}
