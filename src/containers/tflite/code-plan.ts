/** The list of operator codes of a file: those it had, while they are used, and new ones behind. */

import { nodeLabel } from "../../ir/edit.ts";
import type { Node } from "../../ir/model.ts";
import { fail } from "../../numeric/errors.ts";
import { builtinCode, opOf } from "./node-read.ts";
import { CUSTOM, OPS } from "./ops.ts";
import type { Table } from "./schema.ts";

type Code = Table<"OperatorCode">;

/** Which operator code each node uses; first every node claims its place, then the places get numbers. */
export interface CodePlan {
  /** A place for a node's op in this version. `before` is the number as read. */
  claim(node: Node, version: number, before: number | undefined): number;
  /** After all claims: the number that a place has in the file. */
  number(place: number): number;
  /** After all claims: the codes of the file. */
  tables(): readonly Code[];
}

/** Largest number the old field holds; it stands for all greater ones (schema.fbs, PLACEHOLDER_FOR_GREATER_OP_CODES). */
const OLD_FIELD_MAX = 127;

/** Numbers of builtin ops by name. */
export const OP_CODES: ReadonlyMap<string, number> = new Map(OPS.map(({ op }, index) => [op, index]));

function codeOf(node: Node, version: number): Code {
  const isCustom = node.domain === "custom";
  const code = node.domain === "" || isCustom ? OP_CODES.get(isCustom ? CUSTOM : node.op) : undefined;
  if (code === undefined)
    return fail(
      "graph",
      `tflite: node "${nodeLabel(node)}" is ${node.domain && `${node.domain}.`}${node.op}, which is no builtin op of TFLite; custom ops have the domain "custom"`,
    );
  return {
    ...(code !== 0 && { deprecated_builtin_code: Math.min(code, OLD_FIELD_MAX), builtin_code: code }),
    ...(isCustom && { custom_code: node.op }),
    ...(version !== 1 && { version }),
  };
}

const keyOf = (code: Code): string => JSON.stringify([builtinCode(code), code.custom_code ?? "", code.version ?? 1]);

/** A plan that begins with the codes of a file; those of `unused` are kept. */
export function codePlan(before: readonly Code[], unused: readonly number[]): CodePlan {
  const codes = [...before];
  const used = new Set(unused);
  const known = new Map(codes.map((code, index) => [keyOf(code), index] as const).reverse());
  let numbers: ReadonlyMap<number, number> | undefined;

  const add = (code: Code): number => {
    const key = keyOf(code);
    const place = known.get(key) ?? codes.push(code) - 1;
    known.set(key, place);
    return place;
  };
  const fits = (place: number, node: Node, version: number): boolean => {
    const code = codes[place];
    if (code === undefined || (code.version ?? 1) !== version) return false;
    const { op, domain } = opOf(code, place);
    return op === node.op && domain === node.domain;
  };
  return {
    claim(node, version, place) {
      const found = place !== undefined && fits(place, node, version) ? place : add(codeOf(node, version));
      used.add(found);
      return found;
    },
    number(place) {
      numbers ??= new Map([...used].sort((a, b) => a - b).map((key, index) => [key, index]));
      return numbers.get(place)!;
    },
    tables: () => codes.filter((_, place) => used.has(place)),
  };
}
