/**
 * Where a training run stands, as one file: "fewbitCP", version and header length (uint32), a JSON header, the losses so
 * far and the state as float32, and the SHA-256 of all before it. Everything is little-endian.
 */
import type { Feeds, NDArray } from "../ir/model.ts";
import { elementCount } from "../numeric/dtypes.ts";
import { fail } from "../numeric/errors.ts";
import { sha256 } from "../numeric/sha256.ts";

/** What a run's result depends on, in parts: digests and settings by name. Two runs of equal parts end alike. */
export type RunIdentity = Readonly<Record<string, string>>;

/** Everything that a run needs to go on. */
export interface Checkpoint {
  /** Steps done. */
  readonly step: number;
  /** Values of everything that goes round, float32, by name. */
  readonly state: Feeds;
  /** Loss of each step done. */
  readonly losses: Float32Array;
  readonly identity: RunIdentity;
}

/** Largest file that is written or read: what one buffer and one read of a file can hold on every platform. */
export const MAX_CHECKPOINT_BYTES = 2 ** 31 - 1;
/** Names and shapes of a hundred thousand arrays. */
const MAX_HEADER_BYTES = 2 ** 24;
/** More parameters than any model that is trained this way. */
const MAX_ARRAYS = 100_000;
const MAX_RANK = 64;
/** A run of a year at 500 steps a second, and what float32 losses leave of a file. */
const MAX_STEPS = 2 ** 34;

const MAGIC = "fewbitCP";
const VERSION = 1;
const PREFIX_BYTES = MAGIC.length + 4 + 4;
const DIGEST_BYTES = 32;

interface ArrayEntry {
  readonly name: string;
  readonly shape: readonly number[];
}

interface Header {
  readonly step: number;
  readonly identity: RunIdentity;
  readonly arrays: readonly ArrayEntry[];
}

const utf8 = new TextEncoder();

const floatsOf = (name: string, { dtype, data }: NDArray): Float32Array =>
  dtype === "float32"
    ? (data as Float32Array)
    : fail("unsupported", `checkpoint: "${name}" is ${dtype}, expected float32`);

const hexBytes = (hex: string): Uint8Array =>
  Uint8Array.from({ length: DIGEST_BYTES }, (_, i) => Number.parseInt(hex.slice(2 * i, 2 * i + 2) || "0", 16));

/** Bytes of a checkpoint of this state after this many steps, the header not counted. */
export const checkpointBytes = (state: Feeds, steps: number): number =>
  Object.values(state).reduce((sum, { shape }) => sum + 4 * elementCount(shape), 4 * steps);

/** The file. More than `MAX_CHECKPOINT_BYTES` is an error of code "limit". */
export async function encodeCheckpoint({ step, state, losses, identity }: Checkpoint): Promise<Uint8Array> {
  const arrays = Object.entries(state);
  const header: Header = { step, identity, arrays: arrays.map(([name, { shape }]) => ({ name, shape })) };
  const text = utf8.encode(JSON.stringify(header));
  const size = PREFIX_BYTES + text.length + checkpointBytes(state, losses.length) + DIGEST_BYTES;
  if (size > MAX_CHECKPOINT_BYTES)
    fail("limit", `checkpoint: ${size} bytes; at most ${MAX_CHECKPOINT_BYTES} can be written`);
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  bytes.set(utf8.encode(MAGIC));
  view.setUint32(MAGIC.length, VERSION, true);
  view.setUint32(MAGIC.length + 4, text.length, true);
  bytes.set(text, PREFIX_BYTES);
  let at = PREFIX_BYTES + text.length;
  for (const values of [losses, ...arrays.map(([name, array]) => floatsOf(name, array))]) {
    bytes.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), at);
    at += values.byteLength;
  }
  bytes.set(hexBytes(await sha256(bytes.subarray(0, at))), at);
  return bytes;
}

const isCount = (value: unknown, max: number): value is number =>
  typeof value === "number" && Number.isSafeInteger(value) && value >= 0 && value <= max;

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function isArrayEntry(entry: unknown): entry is ArrayEntry {
  if (!isRecord(entry) || typeof entry.name !== "string" || !Array.isArray(entry.shape)) return false;
  return entry.shape.length <= MAX_RANK && entry.shape.every((dim) => isCount(dim, MAX_CHECKPOINT_BYTES));
}

function isHeader(found: unknown): found is Header {
  if (!isRecord(found) || !isCount(found.step, MAX_STEPS) || !isRecord(found.identity)) return false;
  if (!Object.values(found.identity).every((part) => typeof part === "string")) return false;
  const { arrays } = found;
  return Array.isArray(arrays) && arrays.length <= MAX_ARRAYS && arrays.every(isArrayEntry);
}

function parseHeader(bytes: Uint8Array, damaged: (what: string) => never): Header {
  let found: unknown;
  try {
    found = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    damaged("its header is not JSON");
  }
  if (!isHeader(found)) return damaged("its header is not that of a checkpoint");
  if (new Set(found.arrays.map(({ name }) => name)).size < found.arrays.length)
    damaged("its header names an array twice");
  return found;
}

/** Reads a file's bytes; `where` names it in errors, of code "format" where it is damaged or something else. */
export async function decodeCheckpoint(bytes: Uint8Array, where: string): Promise<Checkpoint> {
  const damaged = (what: string): never =>
    fail("format", `${where}: not a checkpoint that can be used: ${what}; leave --resume out to begin anew`);
  const magic = new TextDecoder().decode(bytes.subarray(0, MAGIC.length));
  if (bytes.length < PREFIX_BYTES + DIGEST_BYTES || magic !== MAGIC)
    damaged(`it does not begin with "${MAGIC}" or is cut short`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const version = view.getUint32(MAGIC.length, true);
  if (version !== VERSION) damaged(`it is of version ${version}, expected ${VERSION}`);
  const length = view.getUint32(MAGIC.length + 4, true);
  const end = bytes.length - DIGEST_BYTES;
  if (length > MAX_HEADER_BYTES || PREFIX_BYTES + length > end)
    damaged(`its header claims ${length} bytes of ${bytes.length}`);
  const header = parseHeader(bytes.subarray(PREFIX_BYTES, PREFIX_BYTES + length), damaged);
  const sizes = [header.step, ...header.arrays.map(({ shape }) => elementCount(shape))].map((count) => 4 * count);
  const needed = sizes.reduce((sum, size) => sum + size, PREFIX_BYTES + length);
  if (needed !== end) damaged(`its arrays need ${needed} bytes, found ${end}`);
  const digest = await sha256(bytes.subarray(0, end));
  if (digest !== "" && hexBytes(digest).some((byte, i) => byte !== bytes[end + i])) damaged("its checksum is wrong");
  return cut(bytes, PREFIX_BYTES + length, header);
}

/** The arrays behind the header, copied so that each is aligned and owns its memory. */
function cut(bytes: Uint8Array, start: number, { step, identity, arrays }: Header): Checkpoint {
  let at = start;
  const take = (count: number): Float32Array => {
    const part = new Uint8Array(bytes.subarray(at, at + 4 * count));
    at += 4 * count;
    return new Float32Array(part.buffer, 0, count);
  };
  const losses = take(step);
  const state = arrays.map(({ name, shape }): [string, NDArray] => [
    name,
    { dtype: "float32", shape, data: take(elementCount(shape)) },
  ]);
  return { step, state: Object.fromEntries(state), losses, identity };
}
