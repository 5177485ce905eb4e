/** What an ONNX file may ask for. Real models stay far below; a hostile file of 50 MB can't turn into gigabytes. */
import { fail } from "../../numeric/errors.ts";

/** Largest message protobuf implementations accept (a signed 32-bit length); bigger models keep weights outside. */
export const MAX_PROTO_BYTES = 2_147_483_647;
/** Messages inside messages: protobuf's own default, so what nests deeper opens nowhere. */
export const MAX_DEPTH = 100;
/** Dimensions of one tensor or value: numpy stops at 64. */
export const MAX_RANK = 64;
/** Names: the longest ones that exporters write, scopes and all, are below 2 KiB. */
export const MAX_NAME_BYTES = 64 * 1024;
/** Documentation and metadata values: tokenizer settings and stack traces reach some MiB. */
export const MAX_TEXT_BYTES = 64 * 1024 * 1024;
/** Byte strings in attributes: compiled networks of accelerators are kept there. */
export const MAX_ATTRIBUTE_BYTES = 1024 * 1024 * 1024;
/** Messages of at most this size are copied into memory whole; in bigger ones only what is needed is. */
export const SMALL_MESSAGE = 4096;
/** How much of a file is fetched at a time while looking for its structure. */
export const WINDOW_BYTES = 64 * 1024;

/** Totals over one file. Each counts objects, so each bounds memory: about 100 to 500 bytes an object. */
export const COUNTS = {
  nodes: { max: 250_000, what: "nodes; unrolled networks have some 100,000" },
  tensors: { max: 250_000, what: "tensors; large language models have some 1,000" },
  values: { max: 500_000, what: "declared values; about one for each node output" },
  attributes: { max: 1_000_000, what: "attributes; nodes have up to 15" },
  names: { max: 2_000_000, what: "names; nodes have some 5" },
  elements: { max: 16_000_000, what: "numbers in attributes; tree ensembles have some millions" },
  strings: { max: 4_000_000, what: "strings in tensors and attributes; vocabularies have up to 500,000" },
  dims: { max: 2_000_000, what: "dimensions of declared values; most have some 4" },
  metadata: { max: 1_000_000, what: "entries of metadata, operator sets or functions; external tensors have 3 each" },
  fields: {
    max: 2_000_000,
    what: "fields that are large or that fewbit has no noun for; exporters note some 5 a node",
  },
} as const;

export type Counted = keyof typeof COUNTS;

/** Counts what a file has asked for so far and fails when it is too much. */
export interface Tally {
  count(kind: Counted, amount: number): void;
}

/** A fresh tally, one for each file. */
export const tally = (): Tally => {
  const seen = Object.fromEntries(Object.keys(COUNTS).map((kind) => [kind, 0])) as Record<Counted, number>;
  return {
    count(kind, amount) {
      seen[kind] += amount;
      const { max, what } = COUNTS[kind];
      if (seen[kind] > max) fail("limit", `onnx: the file asks for more than ${max} ${what}; it is damaged or hostile`);
    },
  };
};
