/** Reads what was written back and compares it with the source: the files mean what was planned, and here is the error. */
import type { Matrix } from "../../containers/compressed-tensors/index.ts";
import type { TensorFile } from "../../ir/tensor-file.ts";
import { fail } from "../../numeric/errors.ts";
import { addErrors, type ErrorSums, noErrors, sqnr } from "../../numeric/metrics.ts";
import { openMatrix } from "./decompress.ts";
import type { CompressedPlan } from "./plan.ts";
import { type RowRange, readRows } from "./rows.ts";

/** Values of a matrix that are compared, in stretches of rows spread over it: more change the second digit of the decibels. */
const COMPARED_VALUES = 1 << 18;
const STRETCHES = 8;

/** Less than this is no quantization but a mistake: noise as loud as the signal. */
const LEAST_SQNR = 0;

function* samples({ rows, columns }: Matrix): Iterable<RowRange> {
  const wanted = Math.max(STRETCHES, Math.ceil(COMPARED_VALUES / columns));
  if (wanted >= rows) return yield { row: 0, rows };
  const each = Math.floor(wanted / STRETCHES);
  for (let i = 0; i < STRETCHES; i++) yield { row: Math.floor((i * (rows - each)) / (STRETCHES - 1)), rows: each };
}

function checkErrors(name: string, errors: ErrorSums): void {
  const { badCandidate, signal } = errors;
  if (badCandidate > 0 || (signal > 0 && sqnr(errors) < LEAST_SQNR))
    fail("format", `tensor "${name}": what was written does not decode to the weights; nothing is handed over`);
}

/**
 * Errors of each quantized matrix by name, of up to 262,144 values each, decoded from the files that were written. Fails
 * with code "format" where a matrix is missing or has nothing to do with its source.
 */
export async function compareWritten(
  source: TensorFile,
  written: TensorFile,
  plan: CompressedPlan,
  onTensor: (name: string) => void = () => {},
): Promise<ReadonlyMap<string, ErrorSums>> {
  const found = new Map<string, ErrorSums>();
  for (const { name, matrix } of plan.tensors) {
    if (matrix === undefined) continue;
    const opened = await openMatrix(written.tensors, plan.form, matrix);
    let errors = noErrors;
    for (const range of samples(matrix))
      errors = addErrors(errors, await readRows(source.tensors.get(name)!, matrix, range), await opened.rows(range));
    checkErrors(name, errors);
    found.set(name, errors);
    onTensor(name);
  }
  return found;
}
