/** Keys of GGUF's metadata with their values. What is empty is left out, as llama.cpp's writer does. */
import type { MetadataValue } from "../../ir/tensor-file.ts";
import { fail } from "../../numeric/errors.ts";

/** One key and its value. */
export type Entry = readonly [string, MetadataValue];

/** A text; nothing where it is empty. */
export const text = (key: string, value: string | undefined): readonly Entry[] =>
  value ? [[key, { type: "string", value }]] : [];

const LARGEST = { uint32: 2 ** 32 - 1, int32: 2 ** 31 - 1 } as const;

/** A whole number that must fit its type. */
function integer(type: keyof typeof LARGEST, key: string, value: number | undefined): readonly Entry[] {
  if (value === undefined) return [];
  if (!Number.isInteger(value) || value > LARGEST[type] || value < (type === "int32" ? -(2 ** 31) : 0))
    return fail("format", `${key}: ${value} is no ${type}, which GGUF wants there; repair the setting it comes from`);
  return [[key, { type, value }]];
}

/** A whole number from 0 to 2^32 - 1. */
export const whole = (key: string, value: number | undefined): readonly Entry[] => integer("uint32", key, value);
/** A whole number of 32 bits with a sign. */
export const signed = (key: string, value: number | undefined): readonly Entry[] => integer("int32", key, value);
/** A number in single precision. */
export const real = (key: string, value: number | undefined): readonly Entry[] =>
  value === undefined ? [] : [[key, { type: "float32", value: Math.fround(value) }]];
/** Yes or no. */
export const flag = (key: string, value: boolean | undefined): readonly Entry[] =>
  value === undefined ? [] : [[key, { type: "bool", value }]];
/** Several texts. */
export const texts = (key: string, value: readonly string[] | undefined): readonly Entry[] =>
  value === undefined || value.length === 0 ? [] : [[key, { type: "array", of: "string", value }]];
/** Several numbers in single precision. */
export const reals = (key: string, value: Float32Array): readonly Entry[] =>
  value.length === 0 ? [] : [[key, { type: "array", of: "float32", value }]];
/** Several whole numbers of 32 bits. */
export const integers = (key: string, value: Int32Array): readonly Entry[] =>
  value.length === 0 ? [] : [[key, { type: "array", of: "int32", value }]];
