/** The tensors that stand for one weight in a folder of compressed-tensors. */
import type { StorageType } from "../../ir/tensor-file.ts";
import { DTYPES, type DType } from "../../numeric/dtypes.ts";
import { type CompressedForm, formatOf } from "./config.ts";
import { codesPerWord, type PackedBits, zeroPointRows } from "./packing.ts";

/** What a tensor holds. */
export type PartKind = "codes" | "scales" | "zeroPoints" | "shape";

/** One tensor of a weight. */
export interface Part {
  readonly kind: PartKind;
  readonly name: string;
  readonly type: StorageType;
  readonly shape: readonly number[];
}

/** A weight matrix: `[rows, columns]`, rows being output channels, and the type of its floats, which is that of the scales. */
export interface Matrix {
  /** Ends in ".weight". */
  readonly name: string;
  readonly rows: number;
  readonly columns: number;
  readonly dtype: DType;
}

/** Values that share a scale. */
export const spanOf = ({ weights }: CompressedForm, columns: number): number =>
  weights.granularity.per === "group" ? weights.granularity.size : columns;

/** Bits of the packed codes of a form; undefined where codes are stored one by one. */
export const packedBits = (form: CompressedForm): PackedBits | undefined =>
  formatOf(form) === "pack-quantized" ? (DTYPES[form.weights.dtype].bits as PackedBits) : undefined;

/** Tensors of one weight, codes first; names and shapes are those of the package's compressors. */
export function partsOf(form: CompressedForm, { name, rows, columns, dtype }: Matrix): readonly Part[] {
  const groups = columns / spanOf(form, columns);
  const bits = packedBits(form);
  const scales: Part = { kind: "scales", name: `${name}_scale`, type: dtype, shape: [rows, groups] };
  if (bits === undefined) return [{ kind: "codes", name, type: form.weights.dtype, shape: [rows, columns] }, scales];
  const codes: Part = {
    ...{ kind: "codes", name: `${name}_packed`, type: "int32" },
    shape: [rows, columns / codesPerWord(bits)],
  };
  const zeroPoints: Part = {
    ...{ kind: "zeroPoints", name: `${name}_zero_point`, type: "int32" },
    shape: [zeroPointRows(rows, bits), groups],
  };
  const shape: Part = { kind: "shape", name: `${name}_shape`, type: "int64", shape: [2] };
  return [codes, scales, ...(form.weights.symmetric ? [] : [zeroPoints]), shape];
}
