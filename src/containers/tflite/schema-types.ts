/** The words in which the tables of the TFLite schema are written down. */
import type { ENUMS } from "./schema-enums.ts";

/** Scalars of flatbuffers that the schema uses, with their sizes in bytes. */
export const SCALARS = {
  bool: 1,
  byte: 1,
  ubyte: 1,
  ushort: 2,
  int: 4,
  uint: 4,
  long: 8,
  ulong: 8,
  float: 4,
} as const;

/** Scalars by their names in the schema. */
export type Scalar = keyof typeof SCALARS;
/** Enumerations by name. */
export type EnumName = keyof typeof ENUMS;

/** Types of the fields of options: there are no tables inside them. */
export type FieldType = Scalar | EnumName | "string" | `[${Scalar | EnumName}]`;
