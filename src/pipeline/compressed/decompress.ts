/** A folder of compressed-tensors back as floats: what loaders see in it, without the package. */
import {
  type CompressedForm,
  codesPerWord,
  type Matrix,
  type PackedBits,
  type Part,
  packedBits,
  partsOf,
  spanOf,
  unpackRows,
  unpackZeroPoints,
} from "../../containers/compressed-tensors/index.ts";
import { pieceSource, readAll } from "../../ir/source.ts";
import { type StorageType, type StoredTensor, storedBytes, type TensorFile } from "../../ir/tensor-file.ts";
import { decodeSpans, type ScaleType, type SpanParams, type SpanType } from "../../kernels/spans.ts";
import { bytesOf, decodeFloats } from "../../numeric/convert.ts";
import type { DType } from "../../numeric/dtypes.ts";
import { fail } from "../../numeric/errors.ts";
import { piecesOf, type RowRange } from "./rows.ts";

/** A matrix of a compressed folder, with its grids in memory. */
export interface CompressedMatrix {
  /** Values of some rows in float32. */
  rows(range: RowRange): Promise<Float32Array>;
}

type Tensors = ReadonlyMap<string, StoredTensor>;

/** The tensor of a part, which must have the part's type and shape. */
function partTensor(tensors: Tensors, { name, type, shape }: Part): StoredTensor {
  const found = tensors.get(name) ?? fail("format", `tensor "${name}" is missing; the folder is incomplete`);
  if (found.type !== type || found.shape.join() !== shape.join())
    fail("format", `tensor "${name}" is ${found.type} [${found.shape}] where ${type} [${shape}] was expected`);
  return found;
}

async function gridsOf(parts: readonly Part[], tensors: Tensors, matrix: Matrix, bits: PackedBits | undefined) {
  const bytesFor = async (kind: Part["kind"]) => {
    const part = parts.find((candidate) => candidate.kind === kind);
    return part === undefined ? undefined : readAll(partTensor(tensors, part).data);
  };
  const scales = decodeFloats((await bytesFor("scales"))!, matrix.dtype);
  const packed = await bytesFor("zeroPoints");
  const zeroPoints = packed ? unpackZeroPoints(packed, matrix.rows, bits!) : new Int8Array(scales.length);
  return { scales, zeroPoints };
}

const sliced = ({ scales, zeroPoints }: SpanParams, from: number, to: number): SpanParams => ({
  scales: scales.subarray(from, to),
  zeroPoints: zeroPoints.subarray(from, to),
});

/** Opens one matrix of a compressed folder. Fails with code "format" where its tensors don't fit each other. */
export async function openMatrix(tensors: Tensors, form: CompressedForm, matrix: Matrix): Promise<CompressedMatrix> {
  const { columns } = matrix;
  const { dtype } = form.weights;
  const bits = packedBits(form);
  const parts = partsOf(form, matrix);
  const { data } = partTensor(tensors, parts[0]!);
  const grids = await gridsOf(parts, tensors, matrix, bits);
  const groups = columns / spanOf(form, columns);
  const stored: DType = dtype;
  return {
    async rows({ row, rows }) {
      const count = rows * columns;
      const at = (elements: number) => storedBytes(stored, [elements], `tensor "${matrix.name}"`);
      const bytes = await data.read(at(row * columns), at(count));
      const codes = bits === undefined ? bytes.slice() : unpackRows(bytes, bits, count);
      const own = sliced(grids, row * groups, (row + rows) * groups);
      return decodeSpans(codes, spanOf(form, columns), dtype as SpanType, own);
    },
  };
}

const SCALE = "_scale";

const isScaleType = (type: StorageType): type is ScaleType =>
  type === "float32" || type === "float16" || type === "bfloat16";

/** The matrix whose scales a tensor holds. */
async function matrixOf(tensors: Tensors, form: CompressedForm, scales: StoredTensor): Promise<Matrix> {
  const name = scales.name.slice(0, -SCALE.length);
  const where = `tensor "${scales.name}"`;
  if (!isScaleType(scales.type))
    return fail("format", `${where} is ${scales.type}, which no scales are; it is damaged`);
  const shape = tensors.get(`${name}_shape`);
  const [rows, columns, ...more] =
    packedBits(form) === undefined ? (tensors.get(name)?.shape ?? []) : shape ? await shapeValues(shape) : [];
  if (rows === undefined || columns === undefined || more.length > 0 || rows < 1 || columns < 1)
    return fail("format", `${where}: no matrix belongs to it; the folder is incomplete`);
  const bits = packedBits(form);
  if (columns % spanOf(form, columns) !== 0 || (bits !== undefined && columns % codesPerWord(bits) !== 0))
    fail("format", `${where}: rows of ${columns} values fill no whole groups and words; the folder is damaged`);
  return { name, rows, columns, dtype: scales.type };
}

const MAX_SHAPE_BYTES = 16;

async function shapeValues({ name, type, data }: StoredTensor): Promise<readonly number[]> {
  if (type !== "int64" || data.size !== MAX_SHAPE_BYTES) fail("format", `tensor "${name}" is no shape of a matrix`);
  const bytes = await readAll(data);
  const values = [...new BigInt64Array(bytes.slice().buffer)].map(Number);
  if (!values.every((value) => Number.isSafeInteger(value) && value > 0))
    fail("format", `tensor "${name}": ${values.join(", ")} are no lengths of a matrix`);
  return values;
}

function floatTensor(tensors: Tensors, form: CompressedForm, matrix: Matrix): StoredTensor {
  const { name, rows, columns } = matrix;
  const shape = [rows, columns];
  const size = storedBytes("float32", shape, `tensor "${name}"`);
  async function* chunks() {
    const opened = await openMatrix(tensors, form, matrix);
    for (const range of piecesOf(matrix)) yield bytesOf(await opened.rows(range));
  }
  return { name, type: "float32", shape, data: pieceSource(size, chunks) };
}

/**
 * The same model with its quantized weights as float32, decoded when they are read. Fails with code "format" where
 * tensors are missing or don't fit each other.
 */
export async function decompress({ tensors, ...file }: TensorFile, form: CompressedForm): Promise<TensorFile> {
  const found = new Map<string, StoredTensor>();
  const used = new Set<string>();
  for (const tensor of tensors.values()) {
    if (!tensor.name.endsWith(`.weight${SCALE}`)) continue;
    const matrix = await matrixOf(tensors, form, tensor);
    found.set(matrix.name, floatTensor(tensors, form, matrix));
    for (const { name } of partsOf(form, matrix)) used.add(name);
  }
  const others = [...tensors].filter(([name]) => !used.has(name));
  return { ...file, tensors: new Map([...others, ...found]) };
}
