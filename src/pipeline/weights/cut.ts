/** A tensor cut into pieces of work: rows where rows are encoded, bytes where they are copied. */
import type { StorageType } from "../../ir/tensor-file.ts";
import { type GgmlFormatName, ggmlBytes } from "../../kernels/ggml/index.ts";

/**
 * Values of an encoded piece, the first row whose pattern a type fits; a longer row of a tensor is a piece of its own. Each
 * piece costs what encoding thousands of quick values costs; pieces of slow types are small, so that threads end together.
 */
const PIECE_VALUES: readonly (readonly [RegExp, number])[] = [
  [/^iq[123]_/, 1 << 16],
  [/_k$|^iq4_/, 1 << 18],
  [/^/, 1 << 20],
];
/** Bytes of a copied piece. */
const COPIED_BYTES = 1 << 22;

/** Units of work, and bytes that one has in the source and in the new file. A piece never reaches beyond a matrix. */
export interface Cut {
  readonly matrices: number;
  /** Of one matrix. */
  readonly units: number;
  /** Units of one piece. */
  readonly most: number;
  readonly before: number;
  readonly after: number;
}

/** Units that are read, worked on and written at once. */
export interface Piece {
  /** Counted over all matrices. */
  readonly first: number;
  readonly units: number;
  readonly matrix: number;
}

/** Into what the rows of a tensor are encoded. */
export interface Encoding {
  readonly from: GgmlFormatName;
  readonly to: GgmlFormatName;
  readonly allowsNoImportance: boolean;
}

/** What is done to one tensor. Plain data: it is sent to threads. */
export interface TensorWork {
  readonly name: string;
  readonly shape: readonly number[];
  readonly type: StorageType;
  /** Absent where bytes are copied. */
  readonly encoding?: Encoding;
  readonly cut: Cut;
}

const product = (lengths: readonly number[]): number => lengths.reduce((so, length) => so * length, 1);

/** Length of a row. */
export const columnsOf = ({ shape }: Pick<TensorWork, "shape">): number => shape.at(-1) ?? 1;

const pieceValues = (type: GgmlFormatName): number => PIECE_VALUES.find(([pattern]) => pattern.test(type))![1];

/** Rows that are encoded. */
export function cutRows(shape: readonly number[], { from, to }: Encoding): Cut {
  const columns = shape.at(-1) ?? 1;
  return {
    ...{ matrices: product(shape.slice(0, -2)), units: shape.at(-2) ?? 1 },
    most: Math.max(1, Math.floor(pieceValues(to) / columns)),
    ...{ before: ggmlBytes(from, columns), after: ggmlBytes(to, columns) },
  };
}

/** Bytes that are copied. */
export const cutBytes = (size: number): Cut => ({
  ...{ matrices: 1, units: size, most: COPIED_BYTES, before: 1, after: 1 },
});

const piecesOfMatrix = ({ units, most }: Cut): number => Math.ceil(units / most);

/** Number of pieces. */
export const countPieces = (cut: Cut): number => cut.matrices * piecesOfMatrix(cut);

/** The piece of a number from 0 on. */
export function pieceOf(cut: Cut, number: number): Piece {
  const each = piecesOfMatrix(cut);
  const matrix = Math.floor(number / each);
  const unit = (number - matrix * each) * cut.most;
  return { first: matrix * cut.units + unit, units: Math.min(cut.most, cut.units - unit), matrix };
}

/** All pieces in order. */
export function* piecesOf(cut: Cut): Iterable<Piece> {
  for (let number = 0; number < countPieces(cut); number++) yield pieceOf(cut, number);
}
