/**
 * Models whose inputs or outputs are codes, seen as numbers: feeds are put on the grid of their input, outputs come back
 * as what their codes stand for. Then samples, metrics and layers are the same for models of any type.
 */
import type { Feeds, NDArray, ValueInfo } from "../ir/model.ts";
import { emptyArray, floatsOf } from "../numeric/convert.ts";
import { DTYPES, type DType } from "../numeric/dtypes.ts";
import { type Affine, dequantizeValues, type IntArray, quantizeValues } from "../numeric/qparams.ts";
import { type Engine, ownFeeds, type Session } from "./contract.ts";

/** Grid of a value whose type is that of codes; undefined for plain numbers. */
function gridOf({ dtype, quantization }: ValueInfo): (Affine & { readonly dtype: DType }) | undefined {
  if (dtype === undefined || quantization === undefined || quantization.qparams.scale.length !== 1) return undefined;
  const { scale, zeroPoint } = quantization.qparams;
  return { dtype, scale: scale[0]!, zeroPoint: zeroPoint[0]! };
}

/** How callers see a value: codes as float32. */
export const asNumbers = (info: ValueInfo): ValueInfo => {
  if (gridOf(info) === undefined) return info;
  const { quantization: _, ...rest } = info;
  return { ...rest, dtype: "float32" };
};

/** Types of codes that JavaScript can feed. */
const CODES: ReadonlySet<DType> = new Set(["int8", "uint8", "int16"]);

function encoded(array: NDArray, info: ValueInfo): NDArray {
  const grid = gridOf(info);
  if (grid === undefined || !CODES.has(grid.dtype)) return array;
  const out = emptyArray(grid.dtype, array.data.length) as IntArray;
  const data = quantizeValues(floatsOf(array.data, array.dtype), grid, DTYPES[grid.dtype], out);
  return { ...array, dtype: grid.dtype, data };
}

function decoded(array: NDArray, info: ValueInfo | undefined): NDArray {
  const grid = info && gridOf(info);
  if (grid === undefined) return array;
  return { ...array, dtype: "float32", data: dequantizeValues(array.data as Int8Array, grid) };
}

/** The session with numbers in place of codes; the same one where there are no codes. */
export function sessionInNumbers(session: Session): Session {
  const { inputs, outputs } = session;
  if ([...inputs, ...outputs].every((info) => gridOf(info) === undefined)) return session;
  const outputOf = new Map(outputs.map((info) => [info.name, info]));
  const inputOf = new Map(inputs.map((info) => [info.name, info]));
  const onGrids = (feeds: Feeds): Feeds =>
    Object.fromEntries(
      Object.entries(feeds).map(([name, array]) => [name, encoded(array, inputOf.get(name) ?? { name })]),
    );
  return {
    ...session,
    inputs: inputs.map(asNumbers),
    outputs: outputs.map(asNumbers),
    async run(feeds, fetches) {
      const found = await session.run(onGrids(feeds), fetches);
      return Object.fromEntries(
        Object.entries(found).map(([name, array]) => [name, decoded(array, outputOf.get(name))]),
      );
    },
    ownFeeds: (feeds) => ownFeeds(session, onGrids(feeds)),
    profile: () => session.profile(),
    close: () => session.close(),
  };
}

/** The engine with all its sessions in numbers. */
export const inNumbers = (engine: Engine): Engine => ({
  ...engine,
  open: async (place, options) => sessionInNumbers(await engine.open(place, options)),
});
