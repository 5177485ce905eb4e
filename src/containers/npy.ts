/** NumPy's .npy (format 1.0, 2.0, 3.0; numpy.lib.format): the header is matched piece by piece, never evaluated. */
import type { NDArray } from "../ir/model.ts";
import type { ByteSource } from "../ir/source.ts";
import { bytesOf, typedView } from "../numeric/convert.ts";
import { byteLength, type DType, elementCount } from "../numeric/dtypes.ts";
import { fail } from "../numeric/errors.ts";
import type { ArraySource } from "./data-arrays.ts";

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59] as const;
/** NumPy itself refuses headers above 10,000 characters unless told. */
const MAX_HEADER_BYTES = 65_536;
/** NumPy's own limit since 2.0. */
const MAX_RANK = 64;
/** What one sample may take; larger ones can't be fed to an engine anyway. */
const MAX_SAMPLE_BYTES = 2 ** 31;

/** NumPy's type codes for what can be fed to a model; "<" little-endian, "|" one byte, "=" native. */
const CODES: Readonly<Record<string, DType>> = {
  f2: "float16",
  f4: "float32",
  f8: "float64",
  i1: "int8",
  i2: "int16",
  i4: "int32",
  i8: "int64",
  u1: "uint8",
  u2: "uint16",
  u4: "uint32",
  u8: "uint64",
  b1: "bool",
};

/** What the header of a .npy says of its array. */
export interface NpyHeader {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly fortran: boolean;
}

function dtypeOf(code: string, where: string): DType {
  const known = Object.hasOwn(CODES, code.slice(1)) ? CODES[code.slice(1)] : undefined;
  if (known === undefined || !/^[<|=>]$/.test(code[0]!))
    return fail(
      "unsupported",
      `${where}: elements of NumPy type "${code}" can't be fed to a model; save numbers or bool`,
    );
  if (code[0] === ">")
    return fail(
      "unsupported",
      `${where}: elements are big-endian ("${code}"); save with array.astype("<${code.slice(1)}")`,
    );
  return known;
}

function shapeOf(text: string, where: string): readonly number[] {
  const dims = text
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
  if (dims.length > MAX_RANK || dims.some((dim) => !/^\d{1,16}$/.test(dim)))
    return fail("format", `${where}: the shape "(${text.slice(0, 80)})" of its header is not a list of lengths`);
  return dims.map(Number);
}

const ENTRY = /\s*'(descr|fortran_order|shape)'\s*:\s*(?:'([^']*)'|\(([^()]*)\)|(True|False))\s*,?\s*/y;

/** The three entries of a header such as `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`. */
export function parseNpyHeader(text: string, where: string): NpyHeader {
  const body = text.trim();
  const found = new Map<string, string>();
  ENTRY.lastIndex = 1;
  while (ENTRY.lastIndex < body.length - 1) {
    const match = ENTRY.exec(body);
    if (match === null) break;
    found.set(match[1]!, match[2] ?? match[3] ?? match[4]!);
  }
  const [code, shape, order] = [found.get("descr"), found.get("shape"), found.get("fortran_order")];
  if (!/^\{.*\}$/s.test(body) || code === undefined || shape === undefined || order === undefined)
    return fail("format", `${where}: its header "${body.slice(0, 80)}" is not that of a plain array`);
  return { dtype: dtypeOf(code, where), shape: shapeOf(shape, where), fortran: order === "True" };
}

async function readHeader(source: ByteSource, where: string): Promise<{ header: NpyHeader; start: number }> {
  if (source.size < 12) fail("format", `${where}: ${source.size} bytes are too few for a .npy file`);
  const head = await source.read(0, 12);
  if (MAGIC.some((byte, i) => head[i] !== byte))
    fail("format", `${where}: not a .npy file, it does not begin with "\\x93NUMPY"`);
  const version = head[6]!;
  if (version < 1 || version > 3) fail("unsupported", `${where}: .npy format ${version}.${head[7]} is unknown`);
  const view = new DataView(head.buffer, head.byteOffset);
  const [at, length] = version === 1 ? [10, view.getUint16(8, true)] : [12, view.getUint32(8, true)];
  if (length > MAX_HEADER_BYTES)
    fail("limit", `${where}: a header of ${length} bytes; at most ${MAX_HEADER_BYTES} are read`);
  if (at + length > source.size) fail("format", `${where}: cut short inside its header`);
  const text = new TextDecoder().decode(await source.read(at, length));
  return { header: parseNpyHeader(text, where), start: at + length };
}

function checkHeader({ shape, fortran, dtype }: NpyHeader, present: number, where: string): number {
  if (fortran && shape.filter((dim) => dim > 1).length > 1)
    fail("unsupported", `${where}: stored in Fortran order; save numpy.ascontiguousarray(array)`);
  const bytes = byteLength(dtype, elementCount(shape));
  if (!Number.isSafeInteger(bytes)) fail("limit", `${where}: the lengths of shape [${shape}] multiply beyond any file`);
  if (bytes > present)
    fail(
      "format",
      `${where}: shape [${shape}] of ${dtype} needs ${bytes} bytes, the file holds ${present}; it is cut short`,
    );
  return bytes;
}

/** Opens a .npy file for reading by rows of its first axis; nothing but the header is read. `where` names it in errors. */
export async function openNpy(source: ByteSource, where: string): Promise<ArraySource> {
  const { header, start } = await readHeader(source, where);
  checkHeader(header, source.size - start, where);
  const { dtype, shape } = header;
  const row = byteLength(dtype, elementCount(shape.slice(1)));
  if (row > MAX_SAMPLE_BYTES)
    fail("limit", `${where}: one sample takes ${row} bytes; at most ${MAX_SAMPLE_BYTES} are read`);
  return {
    dtype,
    shape,
    where,
    async rows(first, count) {
      const data = typedView(await source.read(start + first * row, count * row), dtype);
      return { dtype, shape: [count, ...shape.slice(1)], data };
    },
  };
}

/** A whole .npy file, of any rank. */
export async function readNpy(source: ByteSource, where: string): Promise<NDArray> {
  const { header, start } = await readHeader(source, where);
  const bytes = checkHeader(header, source.size - start, where);
  return { dtype: header.dtype, shape: header.shape, data: typedView(await source.read(start, bytes), header.dtype) };
}

/** An array as a .npy file, format 1.0, data aligned to 64 bytes. */
export function writeNpy({ dtype, shape, data }: NDArray): Uint8Array {
  const code = Object.keys(CODES).find((key) => CODES[key] === dtype);
  if (code === undefined) return fail("unsupported", `arrays of ${dtype} have no .npy type`);
  const order = code.endsWith("1") ? "|" : "<";
  const dims = shape.length === 1 ? `${shape[0]},` : shape.join(", ");
  const text = `{'descr': '${order}${code}', 'fortran_order': False, 'shape': (${dims}), }`;
  const header = `${text.padEnd(Math.ceil((text.length + 11) / 64) * 64 - 11)}\n`;
  const bytes = bytesOf(data);
  const out = new Uint8Array(10 + header.length + bytes.length);
  out.set([...MAGIC, 1, 0, header.length & 255, header.length >> 8]);
  out.set(new TextEncoder().encode(header), 10);
  out.set(bytes, 10 + header.length);
  return out;
}
