/** TensorProto to Tensor: wherever the elements are, `data` gives their raw bytes. */
import type { Tensor } from "../../ir/model.ts";
import { type ByteSource, bytesSource, sliceSource } from "../../ir/source.ts";
import { byteLength, DTYPES, type DType, elementCount } from "../../numeric/dtypes.ts";
import { fail } from "../../numeric/errors.ts";
import { safeLocation } from "../safe-path.ts";
import { dtypeOf, ELEMENT_TYPES } from "./dtypes.ts";
import { MAX_RANK } from "./limits.ts";
import { type Decoded, decode } from "./message-read.ts";
import { EXTERNAL, type ExternalFile, extraOf, payloadSource, type Reading, remember } from "./reading.ts";
import { typedData } from "./typed-data.ts";
import type { Field } from "./wire.ts";

type Proto = Decoded<"TensorProto">;

/** The dims, checked: not negative, and with a product that is exact in bytes. */
function shapeOf(dims: readonly (number | bigint)[], dtype: DType, where: string): readonly number[] {
  if (dims.length > MAX_RANK) fail("limit", `${where} has ${dims.length} dimensions; at most ${MAX_RANK} are accepted`);
  const bad = dims.find((dim) => typeof dim === "bigint" || dim < 0);
  if (bad !== undefined) fail("format", `${where} has dimension ${bad}; expected a length from 0 to 2^53`);
  const shape = dims.map(Number);
  const bits = Math.max(8, DTYPES[dtype].bits);
  if (!Number.isSafeInteger(elementCount(shape) * bits))
    fail("format", `${where} has shape [${shape}], whose size overflows; the file is damaged or hostile`);
  return shape;
}

const wholeNumber = (text: string | undefined, otherwise: number): number =>
  text === undefined ? otherwise : /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;

function externalFile(reading: Reading, location: string): ExternalFile {
  const known = reading.external.get(location);
  if (known) return known;
  const made: ExternalFile = { location, uses: [] };
  reading.external.set(location, made);
  return made;
}

/** The part of an external file that holds a tensor; the file is opened after the whole structure is read. */
function externalData(reading: Reading, proto: Proto, size: number, where: string): ByteSource {
  const entries = new Map(
    proto.externalData.map((field) => {
      const { key, value } = decode("StringStringEntryProto", field, reading.tally);
      return [key ?? "", value ?? ""] as const;
    }),
  );
  const location = safeLocation(entries.get("location") ?? "", where);
  const offset = wholeNumber(entries.get("offset"), 0);
  const length = wholeNumber(entries.get("length"), size);
  if (!Number.isSafeInteger(offset + size) || length !== size)
    fail(
      "format",
      `${where} is said to be ${entries.get("length") ?? "some"} bytes at ${entries.get("offset") ?? "0"} of "${location}"; its shape needs ${size}`,
    );
  const file = externalFile(reading, location);
  file.uses.push({ tensor: proto.name ?? "", end: offset + size });
  reading.outside++;
  const part = (): ByteSource => sliceSource(file.source ?? fail("io", `"${location}" is not open`), offset, size);
  return { size, seekable: true, read: (start, count) => part().read(start, count) };
}

function embeddedData(reading: Reading, proto: Proto, dtype: DType, count: number, where: string): ByteSource {
  const field = ELEMENT_TYPES[dtype].field;
  if (proto.rawData === undefined && field !== "stringData") {
    const payloads = proto[field].map((found) => payloadSource(reading.source, found));
    const { data, check } = typedData(dtype, count, payloads, where);
    reading.checks.push(check);
    return data;
  }
  const size = byteLength(dtype, count);
  const data = proto.rawData ? payloadSource(reading.source, proto.rawData) : bytesSource(new Uint8Array(0));
  if (data.size !== size)
    fail("format", `${where} holds ${data.size} bytes, but ${dtype} with its shape needs ${size}; the file is damaged`);
  return data;
}

/** The elements of a string tensor, counted against the shape. */
function stringsOf(proto: Proto, count: number, where: string): { strings?: readonly Uint8Array[] } {
  if (proto.stringData.length !== count)
    fail("format", `${where} holds ${proto.stringData.length} strings, but its shape needs ${count}`);
  return { strings: proto.stringData };
}

function tensorOf(reading: Reading, message: Field): Tensor {
  const proto = decode("TensorProto", message, reading.tally);
  const name = proto.name ?? "";
  const where = `onnx: tensor "${name}"`;
  const dtype =
    dtypeOf(proto.dataType ?? 0, where) ?? fail("format", `${where} has no element type; the file is damaged`);
  const shape = shapeOf(proto.dims, dtype, where);
  const count = elementCount(shape);
  const outside = proto.dataLocation === EXTERNAL;
  if (outside && dtype === "string") fail("format", `${where} keeps strings in an external file, which ONNX forbids`);
  const data = outside
    ? externalData(reading, proto, byteLength(dtype, count), where)
    : embeddedData(reading, proto, dtype, count, where);
  return {
    name,
    dtype,
    shape,
    data,
    ...(dtype === "string" && stringsOf(proto, count, where)),
    ...(proto.docString !== undefined && { doc: proto.docString }),
    ...extraOf(reading, "TensorProto", proto.rest),
  };
}

/** A tensor whose bytes stay where they are until read. */
export function readTensor(reading: Reading, message: Field): Tensor {
  return remember(reading, message, () => tensorOf(reading, message));
}
