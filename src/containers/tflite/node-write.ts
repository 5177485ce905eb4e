/** Nodes to TFLite operators. */
import { nodeLabel } from "../../ir/edit.ts";
import type { Node } from "../../ir/model.ts";
import { fail } from "../../numeric/errors.ts";
import { optionsOf } from "./attributes.ts";
import { OP_CODES } from "./code-plan.ts";
import { type NodeAsRead, nodeExtra } from "./extra.ts";
import { optionsIn } from "./node-read.ts";
import { opVersion, type Types } from "./op-version.ts";
import { OPS } from "./ops.ts";
import { type OptionsName, type Table, type TableName, UNIONS } from "./schema.ts";
import { kept } from "./tensor-write.ts";

type Raw = Table<"Operator">;

/** What a node was read as; undefined when it is another op now. */
export function asReadOf(node: Node): NodeAsRead | undefined {
  const { asRead } = nodeExtra(node);
  return asRead?.op === node.op ? asRead : undefined;
}

/** The version to write: given, as read while the types ask for the same one, or what the types ask for. */
export function versionOf(node: Node, types: Types): number {
  const { version } = nodeExtra(node);
  if (version !== undefined) return version;
  const asRead = asReadOf(node);
  const derived = opVersion(node, types);
  return asRead && asRead.derived === derived ? asRead.version : derived;
}

const usualOptions = (node: Node): OptionsName | undefined =>
  node.domain === "" ? OPS[OP_CODES.get(node.op) ?? -1]?.options : undefined;

const where = (node: Node): string => `node "${nodeLabel(node)}" (${node.op})`;

/** Options in the union that has them; an op without attributes keeps the absence of options. */
function optionFields(node: Node, before: Raw | undefined): Pick<Raw, "builtin_options" | "builtin_options_2"> {
  const { builtin_options: first, builtin_options_2: second } = before ?? {};
  const old = { ...(first && { builtin_options: first }), ...(second && { builtin_options_2: second }) };
  const isEmpty = Object.keys(node.attributes).length === 0;
  const read = before && optionsIn(before)?.type;
  const name = (read as TableName | undefined) ?? (before && isEmpty ? undefined : usualOptions(node));
  if (name === undefined)
    return isEmpty
      ? old
      : fail(
          "graph",
          `tflite: ${where(node)} has attributes, but this op has no options: ${Object.keys(node.attributes).join(", ")}`,
        );
  const value = { type: name, value: optionsOf(name, node.attributes, where(node)) };
  const isFirst = (UNIONS.BuiltinOptions as readonly string[]).includes(name);
  return isFirst ? { ...old, builtin_options: value } : { ...old, builtin_options_2: value };
}

/** A list of numbers; absent where it was absent and there are none. */
const numbers = (
  before: Raw | undefined,
  key: "inputs" | "outputs",
  names: readonly string[],
  index: (name: string) => number,
) =>
  before && before[key] === undefined && names.length === 0
    ? {}
    : { [key]: names.map((name) => (name === "" ? -1 : index(name))) };

/** The table of a node; `code` is the number of its operator code, `index` gives those of tensors. */
export function nodeTable(node: Node, code: number, index: (name: string) => number): Raw {
  const { customOptions, mutatingVariableInputs, intermediates } = nodeExtra(node);
  const before = asReadOf(node)?.table;
  const opcode = kept(before?.opcode_index, code);
  return {
    ...(before?.custom_options_format !== undefined && { custom_options_format: before.custom_options_format }),
    ...(before?.debug_metadata_index !== undefined && { debug_metadata_index: before.debug_metadata_index }),
    ...(opcode !== undefined && { opcode_index: opcode }),
    ...numbers(before, "inputs", node.inputs, index),
    ...numbers(before, "outputs", node.outputs, index),
    ...optionFields(node, before),
    ...(customOptions && { custom_options: customOptions as Uint8Array }),
    ...(mutatingVariableInputs && { mutating_variable_inputs: mutatingVariableInputs }),
    ...(intermediates && { intermediates: intermediates.map((name) => (name === "" ? -1 : index(name))) }),
  };
}
