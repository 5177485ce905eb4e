/** Datasets from arrays that are read by rows, so that no more than a batch is ever in memory. */
import type { Feeds, NDArray, TypedArray, ValueInfo } from "../ir/model.ts";
import { floatsOf } from "../numeric/convert.ts";
import { DTYPES, type DType } from "../numeric/dtypes.ts";
import { fail } from "../numeric/errors.ts";
import { countNonFinite } from "../numeric/metrics.ts";
import type { Dataset } from "./data.ts";
import { type ArraySource, concatenate, partOf } from "./data-arrays.ts";
import { castData, checkFit, fixedBatch } from "./data-fit.ts";

/** One array of samples for each model input. */
export interface Column {
  readonly input: ValueInfo;
  readonly array: ArraySource;
}

/** Rows [first, first + count) that can be fed together. */
interface Span {
  readonly first: number;
  readonly count: number;
}

/** `count` of `total` rows, evenly spread: deterministic, and fair to files sorted by class. */
export const evenRows = (total: number, count: number): readonly number[] =>
  Array.from({ length: count }, (_, i) => Math.floor((i * total) / count));

function checkFinite(data: TypedArray, dtype: DType, first: number, where: string, input: string): void {
  if (DTYPES[dtype].kind !== "float") return;
  const values = dtype === "float64" ? (data as Float64Array) : floatsOf(data, dtype);
  const { nan } = countNonFinite(values);
  if (nan > 0) fail("data", `${where}: ${nan} NaN for input "${input}" in the batch that begins with sample ${first}`);
}

async function readColumn({ input, array }: Column, spans: readonly Span[]): Promise<NDArray> {
  const parts: NDArray[] = [];
  for (const { first, count } of spans) parts.push(await array.rows(first, count));
  const joined = concatenate(parts);
  checkFinite(joined.data, joined.dtype, spans[0]!.first, array.where, input.name);
  return castData(joined, input.dtype ?? joined.dtype, array.where);
}

/** Consecutive rows as spans. */
function spansOf(rows: readonly number[]): readonly Span[] {
  const spans: { first: number; count: number }[] = [];
  for (const row of rows) {
    const last = spans.at(-1);
    if (last !== undefined && row === last.first + last.count) last.count++;
    else spans.push({ first: row, count: 1 });
  }
  return spans;
}

/** Number of shape changes at or before a row: rows of equal number can share a batch. */
const shapeClass = (columns: readonly Column[], row: number): string =>
  columns.map(({ array }) => (array.breaks?.length ? partOf([0, ...array.breaks], row) : 0)).join();

function* groups(columns: readonly Column[], length: number, chosen: readonly number[] | undefined, size: number) {
  const varies = columns.some(({ array }) => array.breaks?.length);
  let rows: number[] = [];
  for (let i = 0; i < length; i++) {
    const row = chosen?.[i] ?? i;
    const full = rows.length === size;
    if (full || (varies && rows.length > 0 && shapeClass(columns, rows[0]!) !== shapeClass(columns, row))) {
      yield rows;
      rows = [];
    }
    rows.push(row);
  }
  if (rows.length > 0) yield rows;
}

function lengthOf(columns: readonly Column[]): number {
  const [head, ...rest] = columns;
  const length = head!.array.shape[0]!;
  const other = rest.find(({ array }) => array.shape[0] !== length);
  if (other)
    fail(
      "data",
      `input "${head!.input.name}" has ${length} samples, but "${other.input.name}" has ${other.array.shape[0]}; all must agree`,
    );
  return length;
}

/** Which of the samples to use. */
export interface RowsOptions {
  /** Use at most this many samples, evenly spread. */
  readonly samples?: number;
}

function usable(total: number, wanted: number | undefined, fixed: number | undefined, where: string): number {
  const count = Math.min(total, wanted ?? total);
  if (count < 1) fail("usage", `${where}: ${wanted} samples asked for; at least one is needed`);
  if (fixed === undefined || fixed < 1 || count % fixed === 0) return count;
  if (wanted !== undefined && count > fixed) return count - (count % fixed);
  return fail(
    "data",
    `${where}: ${count} samples can't be divided into the batches of ${fixed} that the model takes; use a multiple of ${fixed}`,
  );
}

/** A dataset of columns that fit their inputs; `origin` names it in reports. */
export function rowsDataset(columns: readonly Column[], origin: string, options: RowsOptions = {}): Dataset {
  if (columns.length === 0) fail("data", `${origin}: the model has no inputs to feed`);
  for (const { input, array } of columns) checkFit(array, input, array.where);
  const total = lengthOf(columns);
  const fixed = fixedBatch(columns.map(({ input }) => input));
  const length = usable(total, options.samples, fixed, origin);
  const rows = length < total ? evenRows(total, length) : undefined;
  const read = async (group: readonly number[]): Promise<Feeds> => {
    const spans = spansOf(group);
    const feeds: [string, NDArray][] = [];
    for (const column of columns) feeds.push([column.input.name, await readColumn(column, spans)]);
    return Object.fromEntries(feeds);
  };
  return {
    length,
    origin,
    ...(columns.some(({ array }) => array.breaks?.length) && { varies: true as const }),
    rows: (indices) => read(rows === undefined ? indices : indices.map((index) => rows[index]!)),
    ...(rows !== undefined && { chosen: { rows, of: total } }),
    async *batches(size) {
      for (const group of groups(columns, length, rows, fixed ?? Math.max(1, size))) yield await read(group);
    },
  };
}
