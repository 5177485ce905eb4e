/** TFLite operators to nodes. */
import type { Attribute, Node } from "../../ir/model.ts";
import { fail } from "../../numeric/errors.ts";
import { attributesOf } from "./attributes.ts";
import type { TfliteNodeExtra } from "./extra.ts";
import { opVersion, type Types } from "./op-version.ts";
import { CUSTOM, OPS } from "./ops.ts";
import { inList, type Reading, statedRange } from "./reading.ts";
import type { Table, UnionValue } from "./schema.ts";

type Raw = Table<"Operator">;

/** Number of the builtin op; old writers had only a byte for it (schema.fbs, deprecated_builtin_code). */
export const builtinCode = ({
  builtin_code: code = 0,
  deprecated_builtin_code: old = 0,
}: Table<"OperatorCode">): number => Math.max(code, old);

/** Op and domain of an operator code. */
export function opOf(code: Table<"OperatorCode">, index: number): { readonly op: string; readonly domain: string } {
  const number = builtinCode(code);
  const row = OPS[number];
  if (row === undefined)
    return fail(
      "unsupported",
      `tflite: operator code ${index} is builtin op ${number}; this version of fewbit knows 0 to ${OPS.length - 1}`,
    );
  return row.op === CUSTOM ? { op: code.custom_code ?? "", domain: "custom" } : { op: row.op, domain: "" };
}

const isThere = (union: UnionValue | undefined): union is UnionValue => union !== undefined && union.type !== "NONE";

/** The options of an operator, in whichever of the two unions they are; undefined where it has none. */
export const optionsIn = ({ builtin_options: first, builtin_options_2: second }: Raw): UnionValue | undefined =>
  isThere(first) ? first : isThere(second) ? second : undefined;

function attributes(raw: Raw): Readonly<Record<string, Attribute>> {
  const options = optionsIn(raw);
  return options === undefined || options.type === "NONE" ? {} : attributesOf(options.type, options.value ?? {});
}

function customOptions({ source }: Reading, raw: Raw, where: string): TfliteNodeExtra {
  const [offset, size] = [Number(raw.large_custom_options_offset ?? 0), Number(raw.large_custom_options_size ?? 0)];
  if (offset > 1) return { customOptions: statedRange(source, offset, size, `the options of ${where}`) };
  return raw.custom_options === undefined ? {} : { customOptions: raw.custom_options };
}

/** Reads operator `index` of a graph whose tensors have `names`. */
export function readNode(
  reading: Reading,
  raw: Raw,
  index: number,
  names: readonly string[],
  types: Types,
  graph: string,
): Node {
  const codes = reading.root.operator_codes ?? [];
  const code = inList(
    raw.opcode_index ?? 0,
    codes.length,
    `the code of operator ${index} of ${graph}`,
    "operator codes",
  );
  const row = codes[code]!;
  const { op, domain } = opOf(row, code);
  const where = `operator ${index} (${op}) of ${graph}`;
  const name = (what: string) => (at: number) =>
    at === -1 ? "" : names[inList(at, names.length, `an ${what} of ${where}`, "tensors")]!;
  const node: Node = {
    name: "",
    op,
    domain,
    inputs: (raw.inputs ?? []).map(name("input")),
    outputs: (raw.outputs ?? []).map(name("output")),
    attributes: attributes(raw),
  };
  const version = row.version ?? 1;
  const extra: TfliteNodeExtra = {
    ...customOptions(reading, raw, where),
    ...(raw.mutating_variable_inputs && { mutatingVariableInputs: raw.mutating_variable_inputs }),
    ...(raw.intermediates && { intermediates: raw.intermediates.map(name("intermediate tensor")) }),
    asRead: { op, table: raw, code, version, derived: opVersion(node, types) },
  };
  return { ...node, extra };
}
