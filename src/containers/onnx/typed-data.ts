/** Elements kept in a tensor's typed fields (float_data, int32_data, ...) as raw little-endian bytes, converted when read. */
import { type ByteSource, bytesSource, computedSource, readAll } from "../../ir/source.ts";
import { byteLength, DTYPES, type DType } from "../../numeric/dtypes.ts";
import { fail } from "../../numeric/errors.ts";
import { COPY_BYTES } from "../stream.ts";
import { ELEMENT_TYPES } from "./dtypes.ts";
import { type Cursor, cursor, varint } from "./wire.ts";

/** Several sources one after the other. */
export function joined(parts: readonly ByteSource[]): ByteSource {
  if (parts.length === 1) return parts[0]!;
  const size = parts.reduce((sum, part) => sum + part.size, 0);
  return computedSource(size, async () => {
    const whole = new Uint8Array(size);
    let offset = 0;
    for (const part of parts) {
      whole.set(await readAll(part), offset);
      offset += part.size;
    }
    return whole;
  });
}

/** Numbers in the typed field for `count` elements: 2- and 4-bit elements share one, all others have their own. */
const slots = (dtype: DType, count: number): number => (DTYPES[dtype].bits < 6 ? byteLength(dtype, count) : count);

/** Writes slot `index` of the raw bytes, `width` bytes wide, from the varint just read. */
function store(out: Uint8Array, index: number, width: number, { lo, hi }: Cursor): void {
  const at = index * width;
  for (let i = 0; i < width && i < 4; i++) out[at + i] = lo >>> (8 * i);
  for (let i = 4; i < width; i++) out[at + i] = hi >>> (8 * (i - 4));
}

/** One 6-bit element at bit 6 * index, low bits first (four elements in three bytes). */
function storeSix(out: Uint8Array, index: number, { lo }: Cursor): void {
  const bit = index * 6;
  const shifted = (lo & 0x3f) << (bit & 7);
  const at = bit >>> 3;
  out[at] = out[at]! | shifted;
  if (shifted > 0xff) out[at + 1] = out[at + 1]! | (shifted >>> 8);
}

function fromVarints(packed: Uint8Array, dtype: DType, count: number): Uint8Array {
  const out = new Uint8Array(byteLength(dtype, count));
  const { bits } = DTYPES[dtype];
  const width = Math.max(1, bits >>> 3);
  const at = cursor(packed, 0, packed.length, 0);
  const total = slots(dtype, count);
  for (let i = 0; i < total; i++) {
    varint(at);
    if ((bits as number) === 6) storeSix(out, i, at);
    else store(out, i, width, at);
  }
  return out;
}

/** Numbers in a stream of varints: bytes without the continuation bit. Reads in pieces. */
async function countVarints(packed: ByteSource): Promise<number> {
  let count = 0;
  for (let offset = 0; offset < packed.size; offset += COPY_BYTES) {
    const bytes = await packed.read(offset, Math.min(COPY_BYTES, packed.size - offset));
    for (let i = 0; i < bytes.length; i++) if (bytes[i]! < 0x80) count++;
  }
  return count;
}

const FIXED_WIDTH = new Set(["floatData", "doubleData"]);

/**
 * Raw bytes of a tensor from the payloads of its typed field, and a check that as many numbers are there as the shape
 * says. 8-bit and wider numbers take the low bytes of their varint (onnx.proto, comments of int32_data).
 */
export function typedData(
  dtype: DType,
  count: number,
  payloads: readonly ByteSource[],
  where: string,
): { readonly data: ByteSource; readonly check: () => Promise<void> } {
  const packed = payloads.length === 0 ? bytesSource(new Uint8Array(0)) : joined(payloads);
  const expected = slots(dtype, count);
  const complain = (found: number, unit: string, wanted: number): void => {
    if (found !== wanted)
      fail("format", `${where} holds ${found} ${unit}, but its shape needs ${wanted}; the file is damaged`);
  };
  const size = byteLength(dtype, count);
  if (FIXED_WIDTH.has(ELEMENT_TYPES[dtype].field))
    return { data: packed, check: async () => complain(packed.size, "bytes", size) };
  return {
    data: computedSource(size, async () => fromVarints(await readAll(packed), dtype, count)),
    check: async () => complain(await countVarints(packed), "numbers", expected),
  };
}
