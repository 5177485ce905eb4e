/** What each type would cost each tensor: relative errors, measured on a sample of its rows. */
import type { StoredTensor } from "../../ir/tensor-file.ts";
import { decodeGgml, encodeGgml, type GgmlFormatName, ggmlBytes } from "../../kernels/ggml/index.ts";
import { bytesOf } from "../../numeric/convert.ts";
import { FewbitError, fail } from "../../numeric/errors.ts";
import { rng } from "../../numeric/rng.ts";
import { sha256 } from "../../numeric/sha256.ts";
import { isFree } from "../../recipes/ggml/index.ts";
import { formatOf } from "./plan.ts";

/** Values of a tensor that are measured: some 500 super-blocks, whose mean error is then known to a few percent. */
const SAMPLED_VALUES = 1 << 17;
/** Fewest and most rows; in wide matrices rows differ more than blocks, in narrow ones calls would take the time. */
const [MIN_ROWS, MAX_ROWS] = [8, 256];

/** Rows of one tensor as floats, with the importance of their columns. */
export interface Sample {
  readonly tensor: StoredTensor;
  readonly columns: number;
  /** Numbers of the rows, ascending. */
  readonly rows: readonly number[];
  /** The rows, one behind the other. */
  readonly values: Float32Array;
  /** A weight for each column and matrix. */
  readonly importance?: Float32Array;
}

/** Noise over signal of the weights, each square times the importance of its column; by type. */
export type TypeErrors = Readonly<Partial<Record<GgmlFormatName, number>>>;

/** Errors of one tensor, and of which sample: other weights or other importance have another digest. */
export interface MeasuredErrors {
  /** Empty where no digests can be made (pages that are no secure context). */
  readonly digest: string;
  readonly errors: TypeErrors;
}

const product = (lengths: readonly number[]): number => lengths.reduce((so, length) => so * length, 1);

/** One row drawn from each of equally long stretches: spread over the tensor, and not in step with anything in it. */
export function sampledRows(rows: number, columns: number, seed: number): readonly number[] {
  const wanted = Math.min(MAX_ROWS, Math.max(MIN_ROWS, Math.floor(SAMPLED_VALUES / columns)));
  if (wanted >= rows) return Array.from({ length: rows }, (_, row) => row);
  const random = rng(seed);
  return Array.from({ length: wanted }, (_, i) => {
    const [from, end] = [Math.floor((i * rows) / wanted), Math.floor(((i + 1) * rows) / wanted)];
    return random.integer(from, end - 1);
  });
}

function checkFinite({ tensor, columns, rows, values }: Sample): void {
  const bad = values.findIndex((value) => !Number.isFinite(value));
  if (bad < 0) return;
  const index = rows[Math.floor(bad / columns)]! * columns + (bad % columns);
  fail(
    "data",
    `tensor "${tensor.name}": the value at index ${index} is ${values[bad]}; only finite values can be quantized`,
  );
}

/** Reads the sample of a tensor; memory is that of the sample. Fails with code "data" for values that are not finite. */
export async function readSample(tensor: StoredTensor, seed: number, importance?: Float32Array): Promise<Sample> {
  const from = formatOf(tensor);
  const columns = tensor.shape.at(-1) ?? 1;
  const rows = sampledRows(product(tensor.shape.slice(0, -1)), columns, seed);
  const values = new Float32Array(rows.length * columns);
  const bytes = ggmlBytes(from, columns);
  for (const [i, row] of rows.entries())
    decodeGgml(
      from,
      await tensor.data.read(row * bytes, bytes),
      values.subarray(i * columns, (i + 1) * columns),
      tensor.name,
    );
  const sample = { tensor, columns, rows, values, ...(importance && { importance }) };
  checkFinite(sample);
  return sample;
}

/** A name for what was sampled: the values, and the importance they are weighed by. */
export async function digestOf({ values, importance }: Sample): Promise<string> {
  const own = await sha256(bytesOf(values));
  return importance === undefined || own === "" ? own : `${own}-${await sha256(bytesOf(importance))}`;
}

/** Sums of noise and signal of one row. */
function rowSums(
  values: Float32Array,
  back: Float32Array,
  weights: Float32Array | undefined,
): readonly [number, number] {
  let [noise, signal] = [0, 0];
  for (let i = 0; i < values.length; i++) {
    const weight = weights === undefined ? 1 : weights[i]!;
    const difference = back[i]! - values[i]!;
    noise += weight * difference * difference;
    signal += weight * values[i]! * values[i]!;
  }
  return [noise, signal];
}

/** The mean over matrices, so that experts which are rarely used count like the others; 0 for matrices of zeros. */
function meanOf(sums: ReadonlyMap<number, readonly [number, number]>): number {
  const ratios = [...sums.values()].map(([noise, signal]) => (signal === 0 ? 0 : noise / signal));
  return ratios.reduce((sum, ratio) => sum + ratio, 0) / Math.max(1, ratios.length);
}

function errorOf({ tensor, columns, rows, values, importance }: Sample, type: GgmlFormatName): number {
  const { name, shape } = tensor;
  const rowsOfMatrix = shape.at(-2) ?? 1;
  const blocks = new Uint8Array(ggmlBytes(type, columns));
  const back = new Float32Array(columns);
  const sums = new Map<number, readonly [number, number]>();
  for (const [i, row] of rows.entries()) {
    const matrix = Math.floor(row / rowsOfMatrix);
    const own = importance?.subarray(matrix * columns, (matrix + 1) * columns);
    const source = values.subarray(i * columns, (i + 1) * columns);
    const about = { name, rows: 1, columns, first: row * columns, allowsNoImportance: isFree(name) };
    encodeGgml(type, source, blocks, { ...about, ...(own && { importance: own }) });
    decodeGgml(type, blocks, back, name);
    const [noise, signal] = rowSums(source, back, own);
    const [n, s] = sums.get(matrix) ?? [0, 0];
    sums.set(matrix, [n + noise, s + signal]);
  }
  return meanOf(sums);
}

/** Errors of the types that can hold the sample: those whose scales its values overflow are left out. */
export function measureErrors(sample: Sample, types: readonly GgmlFormatName[]): TypeErrors {
  const own = formatOf(sample.tensor);
  const errors: Partial<Record<GgmlFormatName, number>> = {};
  for (const type of types) {
    if (type === own) errors[type] = 0;
    else
      try {
        errors[type] = errorOf(sample, type);
      } catch (error) {
        if (!(error instanceof FewbitError) || error.code !== "data") throw error;
      }
  }
  return errors;
}
