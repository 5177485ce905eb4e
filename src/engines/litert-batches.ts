/** TFLite files fix their batch: more rows are run one batch after the other, and the results put together. */
import type { Dim, Feeds, NDArray, TypedArray, ValueInfo } from "../ir/model.ts";
import { fail } from "../numeric/errors.ts";
import { FEEDABLE } from "./feedable.ts";
import { ELEMENT_DTYPES } from "./litert-api.ts";
import type { RawValue } from "./litert-model.ts";

/** What messages call the rows that any number of batches has: "n", "4n". */
const rows = (batch: number): string => (batch === 1 ? "n" : `${batch}n`);

const batchOf = ({ shape }: ValueInfo): number | undefined => (typeof shape?.[0] === "number" ? shape[0] : undefined);

/** The type of an input or output for any number of batches; scalars and empty batches stay as they are. */
export function anyBatches(value: ValueInfo): ValueInfo {
  const batch = batchOf(value);
  if (!batch) return value;
  const shape: readonly Dim[] = [rows(batch), ...value.shape!.slice(1)];
  return { ...value, shape };
}

/** How many batches feeds of the right rank hold; it must be the same for all inputs that are no scalars. */
export function batchCount(inputs: readonly ValueInfo[], feeds: Feeds): number {
  let found: { readonly count: number; readonly name: string } | undefined;
  for (const input of inputs) {
    const batch = batchOf(input);
    if (!batch) continue;
    const { name } = input;
    const given = feeds[name]!.shape[0]!;
    if (given % batch !== 0)
      fail(
        "data",
        `input "${name}": ${given} rows were given, but the model takes ${batch} at a time; give a multiple`,
      );
    const count = given / batch;
    if (found && found.count !== count)
      fail(
        "data",
        `input "${name}" holds ${count} batches and input "${found.name}" ${found.count}; give as many of each`,
      );
    found ??= { count, name };
  }
  return found?.count ?? 1;
}

/** The bytes of one batch of an input; scalars are the same in all of them. */
export function batchBytes({ data }: NDArray, input: ValueInfo, index: number, count: number): Uint8Array {
  const parts = batchOf(input) ? count : 1;
  const bytes = data.byteLength / parts;
  return new Uint8Array(data.buffer, data.byteOffset + (parts === 1 ? 0 : index * bytes), bytes);
}

/** Collects the batches of one output. */
export interface Stack {
  add(value: RawValue): void;
  result(): NDArray;
}

/** For `count` batches, those beyond it are left out; `where` names the output in errors. */
export function stack(count: number, where: string): Stack {
  let bytes = new Uint8Array();
  let first: RawValue | undefined;
  let done = 0;
  return {
    add(value) {
      if (done === count) return;
      if (first === undefined) [bytes, first] = [new Uint8Array(count * value.bytes.length), value];
      if (count > 1 && (value.shape.length === 0 || `${value.shape}` !== `${first.shape}`))
        fail(
          "unsupported",
          `${where}: shape [${value.shape}] can't be put together with that of other batches; give one batch`,
        );
      bytes.set(value.bytes, done * value.bytes.length);
      done++;
    },
    result() {
      const { element, shape } = first!;
      const dtype = ELEMENT_DTYPES[element];
      if (dtype === undefined) fail("unsupported", `${where}: its element type can't be handed to JavaScript`);
      const data = new FEEDABLE[dtype](bytes.buffer) as TypedArray;
      return { dtype, shape: count === 1 ? shape : [count * shape[0]!, ...shape.slice(1)], data };
    },
  };
}
