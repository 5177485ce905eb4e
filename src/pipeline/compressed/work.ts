/** What is done to each tensor, as plain data for threads: pieces of its rows, and where their bytes go. */
import {
  type CompressedForm,
  codesPerWord,
  type Matrix,
  type Part,
  type PartKind,
  packedBits,
} from "../../containers/compressed-tensors/index.ts";
import type { StoredTensor, TensorFile } from "../../ir/tensor-file.ts";
import { fail } from "../../numeric/errors.ts";
import { type Cut, cutBytes, type Piece } from "../weights/cut.ts";
import { type CompressedPlan, type CompressedTensorPlan, partBytes } from "./plan.ts";
import { cutMatrix } from "./rows.ts";

/** One of the tensors that a tensor becomes. */
export interface PartWork {
  readonly kind: PartKind;
  readonly name: string;
  /** Bytes that one unit of the cut adds: a row of codes or scales, a copied byte; 0 where all come with the last one. */
  readonly each: number;
  /** Bytes of the whole part. */
  readonly size: number;
}

/** One tensor. */
export interface CompressedWork {
  readonly name: string;
  /** Absent where bytes are copied. */
  readonly matrix?: Matrix;
  readonly cut: Cut;
  readonly parts: readonly PartWork[];
}

/** Rows that a part has room for: zero points of the last ones may not fill their word. */
const roomOf = (part: Part, rows: number, form: CompressedForm): number =>
  part.kind === "zeroPoints" ? part.shape[0]! * codesPerWord(packedBits(form)!) : rows;

const partWork = (part: Part, rows: number, form: CompressedForm): PartWork => ({
  ...{ kind: part.kind, name: part.name },
  each: part.kind === "shape" ? 0 : partBytes(part) / roomOf(part, rows, form),
  size: partBytes(part),
});

/** The bytes of a part that a piece makes: from the first to the one behind the last. */
export function rangeOf({ each, size }: PartWork, { first, units }: Piece, cut: Cut): readonly [number, number] {
  const behind = first + units;
  return [first * each, behind === cut.units ? size : behind * each];
}

function workOf({ data }: StoredTensor, plan: CompressedTensorPlan, form: CompressedForm): CompressedWork {
  const { name, matrix, parts } = plan;
  if (matrix === undefined)
    return {
      name,
      cut: cutBytes(data.size),
      parts: parts.map(({ kind }) => ({ kind, name, each: 1, size: data.size })),
    };
  return { name, matrix, cut: cutMatrix(matrix), parts: parts.map((part) => partWork(part, matrix.rows, form)) };
}

/** A tensor of the source with what is done to it. */
export interface CompressedTensor {
  readonly tensor: StoredTensor;
  readonly work: CompressedWork;
}

/** All tensors in the order of the plan. */
export const compressedTensors = ({ tensors }: TensorFile, plan: CompressedPlan): readonly CompressedTensor[] =>
  plan.tensors.map((own) => {
    const tensor = tensors.get(own.name) ?? fail("format", `tensor "${own.name}" is planned, but the model has none`);
    return { tensor, work: workOf(tensor, own, plan.form) };
  });
