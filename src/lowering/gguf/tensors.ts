/** Tensors of Hugging Face's as llama.cpp's: rows in its order, elements or blocks of the type asked for. */
import type { ByteSource } from "../../ir/source.ts";
import type { StorageType, StoredTensor } from "../../ir/tensor-file.ts";
import { storedBytes } from "../../ir/tensor-file.ts";
import { encodeGgml, GGML_FORMATS, type GgmlFormatName, ggmlBytes } from "../../kernels/ggml/index.ts";
import { decodeFloats, encodeFloats, typedView } from "../../numeric/convert.ts";
import { byteLength, DTYPES, type DType } from "../../numeric/dtypes.ts";
import { fail } from "../../numeric/errors.ts";
import { isBlockType } from "../../numeric/ggml-types.ts";

/** Types of matrices that can be asked for, by the names of llama.cpp's converter. */
export const MATRIX_TYPES = { f32: "float32", f16: "float16", bf16: "bfloat16", q8_0: "q8_0" } as const;

/** A name of `MATRIX_TYPES`. */
export type MatrixType = keyof typeof MATRIX_TYPES;

/** Values of a piece, 4 MB of float32; rows, and heads where rows change places, are not cut. */
const PIECE_VALUES = 1 << 20;

/** Rows of each head from two halves to neighbouring pairs: 0, n/2, 1, n/2 + 1, ... */
export function pairRows(bytes: Uint8Array, rows: number, heads: number): Uint8Array {
  const out = new Uint8Array(bytes.length);
  const row = bytes.length / rows;
  const size = rows / heads;
  for (let to = 0; to < rows; to++) {
    const inHead = to % size;
    const from = to - inHead + (inHead >> 1) + (inHead & 1) * (size / 2);
    out.set(bytes.subarray(from * row, (from + 1) * row), to * row);
  }
  return out;
}

/** What is done to a tensor. */
interface Work {
  readonly tensor: StoredTensor;
  readonly from: DType;
  readonly to: StorageType;
  readonly rows: number;
  readonly columns: number;
  /** Heads whose rows are paired; 0 where rows stay. */
  readonly heads: number;
}

/** Float elements as blocks or other elements. Halves and bfloat16 are widened first, as llama.cpp's converter does. */
function encoded(bytes: Uint8Array, { tensor, from, to, columns }: Work, first: number): Uint8Array {
  if (from === to) return bytes;
  if (!isBlockType(to)) return encodeFloats(decodeFloats(bytes, from), to);
  const values = from === "float32" ? (typedView(bytes, from) as Float32Array) : decodeFloats(bytes, from);
  const format = to as GgmlFormatName;
  const blocks = new Uint8Array(ggmlBytes(format, values.length));
  const floats = values instanceof Float32Array ? values : Float32Array.from(values as Iterable<number>);
  encodeGgml(format, floats, blocks, { name: tensor.name, rows: values.length / columns, columns, first });
  return blocks;
}

async function* pieces(work: Work): AsyncIterable<Uint8Array> {
  const { tensor, from, rows, columns, heads } = work;
  const unit = heads > 0 ? rows / heads : 1;
  const most = unit * Math.max(1, Math.floor(PIECE_VALUES / Math.max(1, columns * unit)));
  const rowBytes = byteLength(from, columns);
  for (let row = 0; row < rows; row += most) {
    const count = Math.min(most, rows - row);
    const bytes = await tensor.data.read(row * rowBytes, count * rowBytes);
    yield encoded(heads > 0 ? pairRows(bytes, count, count / unit) : bytes, work, row * columns);
  }
}

/** The result, computed whenever it is read; writers take it piece by piece. */
function computed(size: number, work: Work): ByteSource {
  return {
    size,
    chunks: () => pieces(work),
    async read(offset, length) {
      if (offset < 0 || length < 0 || offset + length > size)
        fail("format", `bytes ${offset} to ${offset + length} lie outside a tensor of ${size} bytes`);
      const all = new Uint8Array(size);
      let at = 0;
      for await (const piece of pieces(work)) {
        all.set(piece, at);
        at += piece.length;
      }
      return all.subarray(offset, offset + length);
    },
  };
}

function floatType({ name, type }: StoredTensor): DType {
  if (isBlockType(type) || DTYPES[type].kind !== "float" || DTYPES[type].bits < 16)
    return fail(
      "unsupported",
      `GGUF: tensor "${name}" is ${type}; convert from the model in float16, bfloat16 or float32`,
    );
  return type;
}

/** Norms, and what chooses experts. */
const FLOAT32_WEIGHTS = /(_norm|\.ffn_gate_inp(_shexp)?)\.weight$/;

/** Vectors, norms, what chooses experts and what is no weight stay float32; rows that are no whole number of blocks become float16. */
function storedAs(name: string, shape: readonly number[], wish: MatrixType): StorageType {
  if (shape.length <= 1 || FLOAT32_WEIGHTS.test(name) || !name.endsWith(".weight")) return "float32";
  const type = MATRIX_TYPES[wish];
  const fits = !isBlockType(type) || (shape.at(-1) ?? 1) % GGML_FORMATS[type].block === 0;
  return fits ? type : "float16";
}

/** The type of matrices where none is asked for: that of the first matrix in halves or bfloat16, else halves. */
export function guessedType(tensors: Iterable<StoredTensor>): MatrixType {
  for (const { shape, type } of tensors) {
    if (shape.length < 2) continue;
    if (type === "bfloat16") return "bf16";
    if (type === "float16") return "f16";
  }
  return "f16";
}

/** A tensor under llama.cpp's name; `heads` are those whose rows change places, 0 for most tensors. */
export function convertTensor(tensor: StoredTensor, name: string, heads: number, wish: MatrixType): StoredTensor {
  const from = floatType(tensor);
  const { shape, data } = tensor;
  const to = storedAs(name, shape, wish);
  if (heads > 0 && (shape[0] ?? 1) % (2 * heads) !== 0)
    fail(
      "format",
      `GGUF: tensor "${tensor.name}" has ${shape[0] ?? 1} rows, no pairs of rows for ${heads} heads of config.json`,
    );
  if (heads === 0 && to === from) return { name, type: to, shape, data };
  const columns = shape.length <= 1 ? 1 : (shape.at(-1) ?? 1);
  const rows = shape.length <= 1 ? (shape[0] ?? 1) : shape.slice(0, -1).reduce((so, length) => so * length, 1);
  const size = storedBytes(to, shape, `GGUF: tensor "${name}"`);
  return { name, type: to, shape, data: computed(size, { tensor, from, to, rows, columns, heads }) };
}
