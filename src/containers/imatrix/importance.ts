/** Importance matrices: how much each input of a matrix was used on some text, as llama.cpp's llama-imatrix measures it. */
import { fail } from "../../numeric/errors.ts";

/** What was measured for one tensor. */
export interface ImportanceEntry {
  /** Values in all: columns times matrices. */
  readonly length: number;
  /** Matrices the values belong to, one behind the other: experts. The older form does not tell, and says 1. */
  readonly matrices: number;
  /** Mean squares of the inputs, float32; those of matrices that were never used are 1. */
  read(): Promise<Float32Array>;
}

/** A file of them. */
export interface ImportanceMatrix {
  /** Names of the texts it was measured on. */
  readonly datasets: readonly string[];
  /** Pieces of text that were measured, where the file says so. */
  readonly chunks?: number;
  /** By tensor name. */
  readonly entries: ReadonlyMap<string, ImportanceEntry>;
}

const columnsAndMatrices = (shape: readonly number[]): readonly [number, number] => [
  shape.at(-1) ?? 1,
  shape.slice(0, -2).reduce((product, length) => product * length, 1),
];

function checkValues(values: Float32Array, columns: number, where: string): void {
  const bad = values.findIndex((value) => !(value >= 0 && value < Number.POSITIVE_INFINITY));
  if (bad >= 0)
    fail("data", `${where}: value ${bad} is ${values[bad]}, expected a finite number from 0 up; measure it anew`);
  for (let start = 0; start < values.length; start += columns)
    if (values.subarray(start, start + columns).every((value) => value === 0))
      fail(
        "data",
        `${where}: all ${columns} values from ${start} on are zero, which says nothing; measure it on more text or leave the tensor out`,
      );
}

/**
 * Importance of a tensor's columns, matrix behind matrix; undefined where the file has nothing on it. Fails with code
 * "data" where the numbers don't fit the tensor, are not finite, negative, or zero for a whole matrix.
 */
export async function importanceOf(
  { entries }: ImportanceMatrix,
  { name, shape }: { readonly name: string; readonly shape: readonly number[] },
): Promise<Float32Array | undefined> {
  const entry = entries.get(name);
  if (entry === undefined) return undefined;
  const where = `importance of tensor "${name}"`;
  const [columns, matrices] = columnsAndMatrices(shape);
  if (entry.length !== columns * matrices)
    fail(
      "data",
      `${where}: ${entry.length} values, but shape [${shape}] needs ${columns}${matrices > 1 ? ` times ${matrices}` : ""}; it was measured on another model`,
    );
  const values = await entry.read();
  checkValues(values, columns, where);
  return values;
}
