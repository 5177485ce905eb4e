/** Options of builtin ops as attributes and back: a field that is absent is no attribute. */
import type { Attribute } from "../../ir/model.ts";
import { fail } from "../../numeric/errors.ts";
import { type AnyTable, ROWS, type Row, TABLES, type TableName } from "./schema.ts";
import { ENUMS } from "./schema-enums.ts";
import type { EnumName } from "./schema-types.ts";

type Attributes = Readonly<Record<string, Attribute>>;

const utf8 = new TextEncoder();
const text = new TextDecoder();

const enumOf = (table: TableName, key: string): readonly string[] | undefined => {
  const type = (TABLES[table] as Readonly<Record<string, string>>)[key] ?? "";
  return type in ENUMS ? ENUMS[type as EnumName].names : undefined;
};

function listOf(values: readonly unknown[], { kind }: Row): Attribute {
  if (kind.is === "scalars" && kind.of === "float") return { type: "floats", value: values as number[] };
  return {
    type: "ints",
    value: values.map((value) => (typeof value === "boolean" ? Number(value) : value)) as number[],
  };
}

function attributeOf(table: TableName, row: Row, value: unknown): Attribute {
  if (Array.isArray(value)) return listOf(value, row);
  if (value instanceof Uint8Array) return { type: "string", value };
  if (typeof value === "string") return { type: "string", value: utf8.encode(value) };
  if (typeof value === "boolean") return { type: "int", value: Number(value) };
  const name = enumOf(table, row.key)?.[value as number];
  if (name !== undefined) return { type: "string", value: utf8.encode(name) };
  const isFloat = row.kind.is === "scalar" && row.kind.of === "float";
  return isFloat ? { type: "float", value: value as number } : { type: "int", value: value as number | bigint };
}

/** Attributes for a table of options; enums are strings with the enum's name, numbers without a name stay numbers. */
export const attributesOf = (name: TableName, options: AnyTable): Attributes =>
  Object.fromEntries(
    ROWS[name]
      .filter(({ key }) => options[key] !== undefined)
      .map((row) => [row.key, attributeOf(name, row, options[row.key])]),
  );

type Bad = (expected: string) => never;

function enumNumber(names: readonly string[], value: Uint8Array, bad: Bad): number {
  const number = names.indexOf(text.decode(value));
  return number < 0 ? bad(`one of ${names.join(", ")}`) : number;
}

function scalarOf(name: TableName, row: Row, attribute: Attribute, bad: Bad): unknown {
  const names = enumOf(name, row.key);
  if (names && attribute.type === "string") return enumNumber(names, attribute.value, bad);
  const of = row.kind.is === "scalar" ? row.kind.of : "int";
  if (of === "float" && (attribute.type === "float" || attribute.type === "int")) return Number(attribute.value);
  if (attribute.type !== "int") return bad(of === "float" ? "a float" : names ? "the name of a value" : "an int");
  return of === "bool" ? Number(attribute.value) !== 0 : attribute.value;
}

function vectorOf(row: Row, attribute: Attribute, bad: Bad): unknown {
  const of = row.kind.is === "scalars" ? row.kind.of : "int";
  const isList = attribute.type === "ints" || (of === "float" && attribute.type === "floats");
  if (!isList) return bad(of === "float" ? "a list of floats" : "a list of ints");
  return of === "bool" ? (attribute.value as readonly number[]).map((value) => value !== 0) : attribute.value;
}

function fieldOf(name: TableName, row: Row, attribute: Attribute, bad: Bad): unknown {
  if (row.kind.is === "scalar") return scalarOf(name, row, attribute, bad);
  if (row.kind.is === "scalars") return vectorOf(row, attribute, bad);
  if (attribute.type !== "string") return bad("a string");
  return row.kind.is === "bytes" ? attribute.value : text.decode(attribute.value);
}

/** The table of options for a node's attributes; fails with code "graph" on one that the table does not have. */
export function optionsOf(name: TableName, attributes: Attributes, where: string): AnyTable {
  const fields: readonly string[] = ROWS[name].map(({ key }) => key);
  const entries = Object.entries(attributes).map(([key, attribute]) => {
    const row = ROWS[name][fields.indexOf(key)];
    if (row === undefined)
      return fail(
        "graph",
        `tflite: ${where} has the attribute "${key}", which is not one of ${name}; it has ${fields.join(", ") || "none"}`,
      );
    const bad: Bad = (expected) =>
      fail("graph", `tflite: attribute "${key}" of ${where} is of type ${attribute.type}; expected ${expected}`);
    return [key, fieldOf(name, row, attribute, bad)];
  });
  return Object.fromEntries(entries);
}
