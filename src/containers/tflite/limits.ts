/** What a TFLite file may ask for. Real models stay far below; a hostile file of some kB can't turn into gigabytes. */
import { fail } from "../../numeric/errors.ts";

/** Offsets of a flatbuffer are signed 32-bit numbers in most readers; bigger files keep buffers behind it. */
export const MAX_FLATBUFFER_BYTES = 2_147_483_647;
/** Everything but the weights is held in memory; ResNet-8 has 20 kB of it for 16 ops, so this is some 200,000 ops. */
export const MAX_STRUCTURE_BYTES = 256 * 1024 * 1024;
/** Buffers up to this size are read together with the structure around them. */
export const SMALL_BUFFER = 4096;
/** How much of a file is fetched at a time while looking for its buffers. */
export const PAGE_BYTES = 64 * 1024;
/** Pages kept while looking: 16 MiB. */
export const MAX_PAGES = 256;
/** Dimensions of one tensor: kernels stop at 8, and no exporter writes more than numpy's 64. */
export const MAX_RANK = 64;
/** Values of metadata that are looked at to see whether they are text: versions and names have some 16 bytes. */
export const MAX_TEXT_METADATA = 4096;
/** Bytes of one constant of strings: vocabularies of 500,000 words have some 10 MB. */
export const MAX_STRING_BYTES = 64 * 1024 * 1024;
/** Alignment of buffers that schema.fbs asks for (force_align). */
export const BUFFER_ALIGNMENT = 16;

/**
 * Totals over one file. Tables, strings and vectors may be shared, and sharing at several levels multiplies; a table that
 * is not shared takes 8 bytes with the reference to it, so twice of what such a file can hold is allowed.
 */
const BUDGETS = {
  tables: { least: 10_000, perByte: 1 / 4, most: 1_000_000, what: "tables; flatbuffers' own verifier stops there too" },
  elements: {
    least: 100_000,
    perByte: 2,
    most: 16_000_000,
    what: "numbers in vectors",
  },
  text: {
    least: 100_000,
    perByte: 2,
    most: 64 * 1024 * 1024,
    what: "bytes of names",
  },
} as const;

/** What is counted. */
export type Budgeted = keyof typeof BUDGETS;

/** Counts what a file has asked for so far and fails when it is too much. */
export type Spend = (kind: Budgeted, amount: number) => void;

/** A fresh budget for a file whose structure has `bytes` bytes. */
export function budget(bytes: number): Spend {
  const spent: Record<Budgeted, number> = { tables: 0, elements: 0, text: 0 };
  return (kind, amount) => {
    const { least, perByte, most, what } = BUDGETS[kind];
    const allowed = Math.min(most, least + Math.floor(bytes * perByte));
    spent[kind] += amount;
    if (spent[kind] > allowed)
      fail(
        "limit",
        `tflite: the file's ${bytes} bytes of structure ask for more than ${allowed} ${what}; it is damaged or hostile`,
      );
  };
}
