/** The header of a safetensors file: a length of 8 bytes, then JSON that names every tensor and its bytes. */
import type { ByteSource } from "../../ir/source.ts";
import { storedBytes } from "../../ir/tensor-file.ts";
import { DTYPES, type DType, elementCount } from "../../numeric/dtypes.ts";
import { fail } from "../../numeric/errors.ts";
import { isJsonObject, type Json, parseJson, utf8Text } from "../json.ts";
import { DTYPE_NAMES, dtypeOf } from "./dtypes.ts";
import { MAX_DEPTH, MAX_HEADER_BYTES, MAX_RANK, MAX_TENSORS, MAX_VALUES } from "./limits.ts";

/** Bytes of the header's length. */
export const LENGTH_BYTES = 8;
/** The header's key that is no tensor. */
export const METADATA_KEY = "__metadata__";

/** A tensor as the header tells of it; `begin` and `end` count from the beginning of the data. */
export interface TensorInfo {
  readonly name: string;
  readonly type: DType;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

export interface Header {
  readonly metadata: ReadonlyMap<string, string>;
  readonly infos: readonly TensorInfo[];
  /** Where the tensors' data begins in the file. */
  readonly dataStart: number;
}

const isCount = (json: Json | undefined): json is number =>
  typeof json === "number" && Number.isSafeInteger(json) && json >= 0;

function counts(json: Json | undefined, where: string, what: string): readonly number[] {
  if (!Array.isArray(json) || !json.every(isCount))
    return fail("format", `${where}: its ${what} is no list of whole numbers from 0 to 2^53; the file is damaged`);
  return json;
}

function typeOf(json: Json | undefined, where: string): DType {
  if (typeof json !== "string") return fail("format", `${where}: its dtype is no text; the file is damaged`);
  return (
    dtypeOf(json) ??
    fail(
      "unsupported",
      `${where}: its dtype is ${JSON.stringify(json.slice(0, 40))}; known are ${Object.keys(DTYPE_NAMES).join(", ")}`,
    )
  );
}

/** Bytes that the shape takes; elements of less than a byte must fill whole ones. */
function neededBytes(type: DType, shape: readonly number[], where: string): number {
  const needed = storedBytes(type, shape, where);
  if ((elementCount(shape) * DTYPES[type].bits) % 8 !== 0)
    fail("format", `${where}: ${type} of shape [${shape}] does not fill whole bytes; the file is damaged`);
  return needed;
}

function infoOf(name: string, json: Json): TensorInfo {
  const where = `safetensors: tensor "${name.slice(0, 200)}"`;
  if (!isJsonObject(json)) return fail("format", `${where}: its entry is no object; the file is damaged`);
  const type = typeOf(json.get("dtype"), where);
  const shape = counts(json.get("shape"), where, "shape");
  if (shape.length > MAX_RANK) fail("limit", `${where} has ${shape.length} dimensions; at most ${MAX_RANK} are read`);
  const [begin, end, ...more] = counts(json.get("data_offsets"), where, "data_offsets");
  if (begin === undefined || end === undefined || more.length > 0)
    return fail("format", `${where}: its data_offsets are not two numbers; the file is damaged`);
  const needed = neededBytes(type, shape, where);
  if (end - begin !== needed)
    fail("format", `${where}: bytes ${begin} to ${end} are given, but ${type} of shape [${shape}] takes ${needed}`);
  return { name, type, shape, begin, end };
}

function metadataOf(json: Json | undefined): ReadonlyMap<string, string> {
  if (json === undefined || json === null) return new Map();
  if (!isJsonObject(json)) return fail("format", `safetensors: ${METADATA_KEY} is no object; the file is damaged`);
  return new Map(
    [...json].map(([key, value]) =>
      typeof value === "string"
        ? [key, value]
        : fail("format", `safetensors: ${METADATA_KEY} entry "${key.slice(0, 200)}" is no text; the file is damaged`),
    ),
  );
}

/** The format knows no holes: each tensor begins where the one before ends, and the last ends with the file. */
function checkPlaces(infos: readonly TensorInfo[], room: number): void {
  let end = 0;
  let last = "the header";
  for (const info of [...infos].sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (info.begin !== end)
      fail(
        "format",
        `safetensors: tensor "${info.name}" begins at byte ${info.begin} of the data, but ${last} ends at ${end}; ${info.begin < end ? "they overlap" : "the bytes between belong to none"}, the file is damaged`,
      );
    end = info.end;
    last = `tensor "${info.name}"`;
  }
  if (end !== room)
    fail(
      "format",
      `safetensors: the tensors take ${end} bytes, the file has ${room} for them; it is ${end > room ? "truncated" : "damaged"}`,
    );
}

async function headerText(source: ByteSource): Promise<{ readonly text: string; readonly dataStart: number }> {
  if (source.size < LENGTH_BYTES)
    fail("format", `safetensors: ${source.size} bytes are too few for a header; the file is truncated`);
  const { buffer, byteOffset } = await source.read(0, LENGTH_BYTES);
  const length = Number(new DataView(buffer, byteOffset, LENGTH_BYTES).getBigUint64(0, true));
  if (length > MAX_HEADER_BYTES)
    fail("limit", `safetensors: the header claims ${length} bytes; at most ${MAX_HEADER_BYTES} are read`);
  if (LENGTH_BYTES + length > source.size)
    fail(
      "format",
      `safetensors: the header claims ${length} bytes of ${source.size - LENGTH_BYTES}; the file is truncated`,
    );
  const text = utf8Text(await source.read(LENGTH_BYTES, length), "safetensors");
  if (!text.startsWith("{")) fail("format", `safetensors: not a safetensors file, its header does not begin with "{"`);
  return { text, dataStart: LENGTH_BYTES + length };
}

/** Reads and checks the header. */
export async function readHeader(source: ByteSource): Promise<Header> {
  const { text, dataStart } = await headerText(source);
  const json = parseJson(text, { where: "safetensors", depth: MAX_DEPTH, values: MAX_VALUES });
  if (!isJsonObject(json)) return fail("format", "safetensors: the header is no object; the file is damaged");
  if (json.size > MAX_TENSORS + 1)
    fail("limit", `safetensors: the header names ${json.size} tensors; at most ${MAX_TENSORS} are read`);
  const infos = [...json].filter(([name]) => name !== METADATA_KEY).map(([name, entry]) => infoOf(name, entry));
  checkPlaces(infos, source.size - dataStart);
  return { metadata: metadataOf(json.get(METADATA_KEY)), infos, dataStart };
}
