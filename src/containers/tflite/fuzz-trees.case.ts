/** Damage to what a file says instead of to its bytes: the result is a sound flatbuffer that means something else. */
import { type ByteSource, sliceSource } from "../../ir/source.ts";
import type { Rng } from "../../numeric/rng.ts";
import type { AnyTable, Table } from "./schema.ts";
import { writeRoot } from "./table-write.ts";

const NUMBERS = [-2, -1, 0, 1, 2, 3, 7, 100, 0x7fff, 0x7fffffff, -0x80000000];

const isSource = (value: object): value is ByteSource => "read" in value;
const pick = <T>(random: Rng, list: readonly T[]): T => list[random.integer(0, list.length - 1)]!;

function listDamage(list: readonly unknown[], random: Rng, other: unknown): readonly unknown[] {
  const at = random.integer(0, Math.max(0, list.length - 1));
  const kind = random.integer(0, 4);
  if (kind === 0) return list.filter((_, index) => index !== at);
  if (kind === 1 && list.length > 0) return [...list, list[at]];
  if (kind === 2) return list.toReversed();
  if (kind === 3 && Array.isArray(other)) return other;
  return list.map((item, index) =>
    index === at ? damaged(item, random, Array.isArray(other) ? other[at] : other) : item,
  );
}

function tableDamage(table: AnyTable, random: Rng, other: unknown): AnyTable {
  const keys = Object.keys(table);
  if (keys.length === 0) return table;
  const key = pick(random, keys);
  const { [key]: value, ...rest } = table;
  const theirs = typeof other === "object" && other !== null ? (other as AnyTable)[key] : undefined;
  const kind = random.integer(0, 9);
  if (kind === 0 && key !== "type") return rest;
  if (kind === 1 && typeof theirs === typeof value) return { ...table, [key]: theirs };
  return { ...table, [key]: damaged(value, random, theirs) };
}

/** `value` with one thing in it changed; `other` is what stands at the same place of another file. */
function damaged(value: unknown, random: Rng, other: unknown): unknown {
  if (typeof value === "number") return pick(random, NUMBERS);
  if (typeof value === "boolean") return !value;
  if (typeof value === "string") return typeof other === "string" ? other : "";
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof Uint8Array) return value.subarray(1);
  if (Array.isArray(value)) return listDamage(value, random, other);
  if (isSource(value)) return sliceSource(value, 0, random.integer(0, value.size));
  return typeof (value as AnyTable).type === "string"
    ? unionDamage(value as AnyTable, random, other)
    : tableDamage(value as AnyTable, random, other);
}

/** The member of a union stays, its table does not. */
const unionDamage = (union: AnyTable, random: Rng, other: unknown): AnyTable => ({
  ...union,
  ...(union.value !== undefined && { value: damaged(union.value, random, (other as AnyTable | undefined)?.value) }),
});

/** A file that holds `table` with up to four things changed, some to what `other` says. */
export async function damagedTree(table: Table<"Model">, other: Table<"Model">, random: Rng): Promise<Uint8Array> {
  let changed = table as AnyTable;
  for (let left = random.integer(1, 4); left > 0; left--) changed = tableDamage(changed, random, other);
  const { size, pieces } = writeRoot(changed as Table<"Model">);
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const piece of pieces) {
    const part = piece instanceof Uint8Array ? piece : await piece.read(0, piece.size);
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
