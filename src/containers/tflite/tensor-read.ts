/** TFLite tensors to the nouns: constants, values, and what is neither. */
import type { Dim, Tensor, ValueInfo } from "../../ir/model.ts";
import { type ByteSource, bytesSource } from "../../ir/source.ts";
import type { DType } from "../../numeric/dtypes.ts";
import { fail } from "../../numeric/errors.ts";
import { dtypeOf, isTensorType } from "./dtypes.ts";
import type { TfliteTensorExtra } from "./extra.ts";
import { MAX_RANK } from "./limits.ts";
import { quantizationOf } from "./quantization.ts";
import { inList, type Reading } from "./reading.ts";
import type { Table } from "./schema.ts";

type Raw = Table<"Tensor">;

/** A tensor as read: a constant with an element type and plain data, or a value; `constant` names those without a noun. */
export interface ReadTensor {
  readonly info: ValueInfo;
  readonly tensor?: Tensor;
  readonly isOpaque?: boolean;
}

/** Shape as the noun has it: what the signature calls unknown is null. A scalar without `has_rank` may be of any rank. */
export function shapeOf({ shape, shape_signature: signature, has_rank: hasRank }: Raw): readonly Dim[] | undefined {
  if (shape === undefined) return hasRank ? [] : undefined;
  return signature?.length === shape.length ? shape.map((dim, axis) => (signature[axis] === -1 ? null : dim)) : shape;
}

function checkRaw(raw: Raw, where: string): void {
  const { shape = [], type = 0 } = raw;
  if (!isTensorType(type)) fail("unsupported", `tflite: ${where} is of type ${type}, which this version does not know`);
  if (shape.length > MAX_RANK)
    fail("limit", `tflite: ${where} has ${shape.length} dimensions; at most ${MAX_RANK} are allowed`);
  const bad = shape.find((dim) => dim < 0);
  if (bad !== undefined)
    fail(
      "format",
      `tflite: ${where} has a dimension of ${bad} in its shape; unknown ones are -1 in shape_signature only`,
    );
}

type BlockTable = Table<"MultiAxisQuantization">;

/** Names of the tensors that a tensor's quantization refers to. */
function blockNames(
  raw: Raw,
  names: readonly string[],
  where: string,
): Pick<TfliteTensorExtra, "scales" | "zeroPoints"> {
  const { details } = raw.quantization ?? {};
  if (details?.type !== "BlockwiseQuantization" && details?.type !== "MultiAxisQuantization") return {};
  const { scales = 0, zero_points: zeros = 0 } = details.value as BlockTable;
  const name = (index: number, what: string): string =>
    names[inList(index, names.length, `the ${what} tensor of ${where}`, "tensors")]!;
  return { scales: name(scales, "scale"), ...(zeros !== -1 && { zeroPoints: name(zeros, "zero point") }) };
}

function dataOf({ buffers, used }: Reading, { buffer = 0 }: Raw, where: string): ByteSource | undefined {
  if (buffer === 0 && buffers.length === 0) return undefined;
  used.add(inList(buffer, buffers.length, `the buffer of ${where}`, "buffers"));
  return buffer === 0 ? undefined : buffers[buffer];
}

const NOTHING = bytesSource(new Uint8Array());

/** A tensor that nothing computes and that has no elements is a constant without data. */
const isEmpty = (raw: Raw, isMade: boolean): boolean =>
  !isMade && raw.is_variable !== true && (raw.shape ?? []).includes(0) && raw.shape_signature === undefined;

const isPlain = (raw: Raw, dtype: DType | undefined): dtype is DType =>
  dtype !== undefined && dtype !== "string" && raw.sparsity === undefined && !raw.external_buffer;

/** Reads tensor `index` of a graph; `isMade` tells those that are inputs or that a node gives. */
export function readTensor(
  reading: Reading,
  raw: Raw,
  names: readonly string[],
  index: number,
  isMade: boolean,
  graph: string,
): ReadTensor {
  const name = names[index]!;
  const where = `tensor "${name}" of ${graph}`;
  checkRaw(raw, where);
  const dtype = dtypeOf(raw.type ?? 0);
  const blocks = blockNames(raw, names, where);
  const quantization = quantizationOf(raw.quantization, blocks);
  const data = dataOf(reading, raw, where) ?? (isEmpty(raw, isMade) ? NOTHING : undefined);
  const extra: TfliteTensorExtra = { asRead: raw, ...blocks, ...(name !== raw.name && { named: name }) };
  const common = { name, ...(quantization && { quantization }) };
  const shape = shapeOf(raw);
  const info = { ...common, ...(dtype && { dtype }), ...(shape && { shape }) };
  if (data === undefined)
    return { info: { ...info, extra }, isOpaque: raw.is_variable === true || !!raw.external_buffer };
  if (!isPlain(raw, dtype)) return { info: { ...info, extra: { ...extra, data } }, isOpaque: true };
  return { info: { ...info, extra }, tensor: { ...common, dtype, shape: raw.shape ?? [], data, extra } };
}
