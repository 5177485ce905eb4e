/** Keys and values, read. */
import type { MetadataArray, MetadataValue } from "../../ir/tensor-file.ts";
import { fail } from "../../numeric/errors.ts";
import { type Cursor, length64, name, take, text, uint32 } from "./cursor.ts";
import { MAX_ARRAYS, MAX_DEPTH, MAX_NAME_BYTES, MAX_TEXT_BYTES, MAX_TEXTS } from "./limits.ts";
import { isNumberType, NUMBERS, VALUE_IDS, type ValueType, valueTypeOf } from "./types.ts";

/** Least bytes of a key and its value: length, one letter, type, one byte. */
export const MIN_ENTRY_BYTES = 8 + 1 + 4 + 1;
/** Least bytes of an array's element that is no number: a length. */
const MIN_ELEMENT_BYTES = 8;

interface Tally {
  arrays: number;
  texts: number;
}

function valueType(at: Cursor, key: string): ValueType {
  const id = uint32(at, `the type of "${key}"`);
  return (
    valueTypeOf(id) ??
    fail(
      "format",
      `gguf: key "${key}" has value type ${id}; known are 0 to ${Object.keys(VALUE_IDS).length - 1}; the file is damaged`,
    )
  );
}

/** An array's length, checked against the bytes left before anything is made of it. */
function arrayLength(at: Cursor, key: string, elementBytes: number): number {
  const length = length64(at, `the length of "${key}"`);
  if (length * elementBytes > at.size - at.pos)
    fail(
      "format",
      `gguf: the array of key "${key}" claims ${length} elements, more than the ${at.size - at.pos} bytes left can hold; the file is truncated or damaged`,
    );
  return length;
}

function checkBools(at: Cursor, start: number, end: number, key: string): void {
  for (let i = start; i < end; i++)
    if (at.bytes[i]! > 1)
      fail("format", `gguf: a bool of key "${key}" is ${at.bytes[i]}, expected 0 or 1; the file is damaged`);
}

function numbers(at: Cursor, key: string, of: keyof typeof NUMBERS): MetadataArray {
  const { bytes, array } = NUMBERS[of];
  const length = arrayLength(at, key, bytes);
  const start = take(at, length * bytes, `the array of "${key}"`);
  if (of === "bool") checkBools(at, start, start + length, key);
  const copy = at.bytes.slice(start, start + length * bytes);
  return { type: "array", of, value: new array(copy.buffer, copy.byteOffset, length) } as MetadataArray;
}

function texts(at: Cursor, key: string, tally: Tally): MetadataArray {
  const length = arrayLength(at, key, MIN_ELEMENT_BYTES);
  tally.texts += length;
  if (tally.texts > MAX_TEXTS)
    fail("limit", `gguf: key "${key}" brings the texts in arrays to ${tally.texts}; at most ${MAX_TEXTS} are read`);
  const what = `a text of "${key}"`;
  return { type: "array", of: "string", value: Array.from({ length }, () => text(at, MAX_TEXT_BYTES, what)) };
}

function nested(at: Cursor, key: string, tally: Tally, depth: number): MetadataArray {
  if (depth >= MAX_DEPTH) fail("limit", `gguf: arrays of key "${key}" nest deeper than ${MAX_DEPTH}`);
  const length = arrayLength(at, key, 4 + MIN_ELEMENT_BYTES);
  return { type: "array", of: "array", value: Array.from({ length }, () => array(at, key, tally, depth + 1)) };
}

function array(at: Cursor, key: string, tally: Tally, depth: number): MetadataArray {
  if (++tally.arrays > MAX_ARRAYS)
    fail("limit", `gguf: key "${key}" brings the arrays to more than ${MAX_ARRAYS}; the file is damaged or hostile`);
  const of = valueType(at, key);
  if (isNumberType(of)) return numbers(at, key, of);
  return of === "string" ? texts(at, key, tally) : nested(at, key, tally, depth);
}

function value(at: Cursor, key: string, tally: Tally): MetadataValue {
  const type = valueType(at, key);
  if (type === "array") return array(at, key, tally, 1);
  if (type === "string") return { type, value: text(at, MAX_TEXT_BYTES, `the text of "${key}"`) };
  const { bytes, get } = NUMBERS[type];
  const start = take(at, bytes, `the value of "${key}"`);
  if (type !== "bool") return { type, value: get(at.view, start) };
  checkBools(at, start, start + 1, key);
  return { type, value: at.bytes[start] === 1 };
}

/** `count` keys with their values, in order. */
export function readMetadata(at: Cursor, count: number): Map<string, MetadataValue> {
  const found = new Map<string, MetadataValue>();
  const tally: Tally = { arrays: 0, texts: 0 };
  for (let i = 0; i < count; i++) {
    const key = name(at, MAX_NAME_BYTES, `key ${i}`);
    if (key === "") fail("format", `gguf: key ${i} is empty; the file is damaged`);
    if (found.has(key)) fail("format", `gguf: key "${key}" occurs twice; the file is damaged`);
    found.set(key, value(at, key, tally));
  }
  return found;
}
