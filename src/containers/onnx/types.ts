/** ValueInfoProto and the part of TypeProto that fewbit has a noun for: plain tensors. */
import type { Dim, ValueInfo } from "../../ir/model.ts";
import type { DType } from "../../numeric/dtypes.ts";
import { fail } from "../../numeric/errors.ts";
import { dtypeOf, ELEMENT_TYPES } from "./dtypes.ts";
import { MAX_RANK, type Tally } from "./limits.ts";
import { decode } from "./message-read.ts";
import { encode, type RawField } from "./message-write.ts";
import { extraOf, type OnnxExtra, type Reading } from "./reading.ts";
import { finish, type Part, part } from "./sink.ts";
import { type Field, payload } from "./wire.ts";

interface TensorType {
  readonly dtype?: DType;
  readonly shape?: readonly Dim[];
}

function dimOf(message: Field, tally: Tally, where: string): Dim {
  const { dimValue, dimParam } = decode("Dimension", message, tally);
  if (dimValue === undefined) return dimParam || null;
  if (typeof dimValue === "bigint") fail("format", `${where} has a dimension of ${dimValue}, beyond 2^53`);
  return dimValue < 0 ? null : dimValue;
}

function shapeOf(message: Field, tally: Tally, where: string): readonly Dim[] {
  const { dim } = decode("TensorShapeProto", message, tally);
  if (dim.length > MAX_RANK) fail("limit", `${where} has ${dim.length} dimensions; at most ${MAX_RANK} are accepted`);
  return dim.map((one) => dimOf(one, tally, where));
}

function typeOf(message: Field, tally: Tally, where: string): TensorType {
  const { tensorType } = decode("TypeProto", message, tally);
  if (tensorType === undefined) return {};
  const { elemType, shape } = decode("TypeTensor", tensorType, tally);
  const dtype = dtypeOf(elemType ?? 0, where);
  return { ...(dtype && { dtype }), ...(shape && { shape: shapeOf(shape, tally, where) }) };
}

const encodeDim = (dim: Dim): Part =>
  encode("Dimension", typeof dim === "number" ? { dimValue: dim } : dim === null ? {} : { dimParam: dim });

function encodeType({ dtype, shape }: TensorType): Part | undefined {
  if (dtype === undefined && shape === undefined) return undefined;
  const tensorType = encode("TypeTensor", {
    ...(dtype && { elemType: ELEMENT_TYPES[dtype].code }),
    ...(shape && { shape: encode("TensorShapeProto", { dim: shape.map(encodeDim) }) }),
  });
  return encode("TypeProto", { tensorType });
}

const sameBytes = (a: Uint8Array, b: Uint8Array | undefined): boolean =>
  a.length === b?.length && a.every((byte, i) => byte === b[i]);

/** All of a small message in one buffer. */
const bytesOf = (message: Part | undefined): Uint8Array | undefined =>
  message && (finish(message).pieces[0] as Uint8Array | undefined);

const sameType = (a: TensorType, b: TensorType): boolean =>
  a.dtype === b.dtype && a.shape?.length === b.shape?.length && (a.shape ?? []).every((dim, i) => dim === b.shape?.[i]);

/** The type as written, where `dtype` and `shape` alone would not write the same (denotations, sequences, maps). */
function moreThanTensor(message: Field, type: TensorType): Uint8Array | undefined {
  const bytes = payload(message);
  return sameBytes(bytes, bytesOf(encodeType(type))) ? undefined : bytes;
}

/** A declared input, output or inner value. */
export function readValue(reading: Reading, message: Field): ValueInfo {
  const { name = "", type, docString, rest } = decode("ValueInfoProto", message, reading.tally);
  const known = type ? typeOf(type, reading.tally, `onnx: value "${name}"`) : {};
  return {
    name,
    ...known,
    ...(docString !== undefined && { doc: docString }),
    ...extraOf(reading, "ValueInfoProto", rest, type && moreThanTensor(type, known)),
  };
}

const asField = (bytes: Uint8Array): Field => ({
  id: 0,
  wire: 2,
  start: 0,
  offset: 0,
  end: bytes.length,
  lo: 0,
  hi: 0,
  bytes,
  at: 0,
  fields: null,
});

const uncounted: Tally = { count: () => {} };

/** The type as it was read while element type and shape are still those, else as the value says now. */
function typeToWrite(value: ValueInfo, kept: Uint8Array | undefined): Part | undefined {
  if (kept === undefined) return encodeType(value);
  return sameType(typeOf(asField(kept), uncounted, value.name), value) ? part(kept) : encodeType(value);
}

/** A declared value as ValueInfoProto. */
export function encodeValue(value: ValueInfo, rest: readonly RawField[]): Part {
  const { type } = (value.extra ?? {}) as Partial<OnnxExtra>;
  return encode("ValueInfoProto", {
    name: value.name,
    type: typeToWrite(value, type),
    docString: value.doc,
    rest,
  });
}
