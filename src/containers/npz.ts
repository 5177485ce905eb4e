/** NumPy's .npz: a ZIP of .npy files, one per model input. */
import type { ValueInfo } from "../ir/model.ts";
import type { ByteSource } from "../ir/source.ts";
import { fail } from "../numeric/errors.ts";
import { didYouMean, quotedList } from "../numeric/suggest.ts";
import type { Dataset } from "./data.ts";
import type { ArraySource } from "./data-arrays.ts";
import { type Column, type RowsOptions, rowsDataset } from "./data-rows.ts";
import { openNpy } from "./npy.ts";
import { openZip } from "./npz-zip.ts";

const arrayName = (file: string): string => file.replace(/\.npy$/, "");

/** Arrays of a .npz by name, to be read by rows; nothing but headers is read. */
export async function openNpz(source: ByteSource, where: string): Promise<ReadonlyMap<string, ArraySource>> {
  const found = new Map<string, ArraySource>();
  for (const [file, bytes] of await openZip(source, where)) {
    if (!file.endsWith(".npy")) fail("format", `${where}: holds "${file}", expected only .npy arrays`);
    found.set(arrayName(file), await openNpy(bytes, `${where}: array "${arrayName(file)}"`));
  }
  return found;
}

/** Arrays saved without names ("arr_0", "arr_1", ...) stand for the inputs in order. */
const inOrder = (arrays: ReadonlyMap<string, unknown>, inputs: readonly ValueInfo[]): boolean =>
  arrays.size === inputs.length && inputs.every((_, i) => arrays.has(`arr_${i}`));

/** Pairs inputs with arrays by name; a missing or an extra name is an error that lists what is there. */
export function matchArrays(
  arrays: ReadonlyMap<string, ArraySource>,
  inputs: readonly ValueInfo[],
  where: string,
): readonly Column[] {
  if (inOrder(arrays, inputs)) return inputs.map((input, i) => ({ input, array: arrays.get(`arr_${i}`)! }));
  const names = [...arrays.keys()];
  const wanted = inputs.map((input) => input.name);
  const columns = inputs.map((input) => {
    const array = arrays.get(input.name);
    if (array) return { input, array };
    const others = names.filter((name) => !wanted.includes(name));
    return fail(
      "data",
      `${where}: no array for input "${input.name}", found ${quotedList(names) || "none"}${didYouMean(input.name, others)}`,
    );
  });
  const extra = names.find((name) => !wanted.includes(name));
  if (extra !== undefined)
    fail(
      "data",
      `${where}: array "${extra}" is no input of the model, which takes ${quotedList(wanted)}; leave it out`,
    );
  return columns;
}

/** A dataset from a .npz with one array per input. */
export const npzDataset = async (
  source: ByteSource,
  origin: string,
  inputs: readonly ValueInfo[],
  options: RowsOptions = {},
): Promise<Dataset> => rowsDataset(matchArrays(await openNpz(source, origin), inputs, origin), origin, options);
