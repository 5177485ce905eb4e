/** Matrix products. */
import { alongRows, type Dims, stacked } from "../batch-state.ts";
import { type ConversionRow, choice, flag, known, ofRank, refuse, type Site } from "../row.ts";

const open = (dims: Dims): readonly number[] => dims.map((length) => length ?? -1);

/** The image as rows of `width`; all axes before the last are rows already where the last has that length. */
function rows(site: Site, name: string, width: number): string {
  const dims = site.dims(name);
  return dims.length === 2 && dims[1] === width ? name : site.emit("Reshape", [name, site.list([-1, width])]);
}

/** Back to the axes of the input, for `keep_num_dims`; one of them may be open. */
function unflattened(site: Site, value: string, dims: Dims): string {
  if (dims.length === 2) return value;
  const lengths = open(dims);
  if (lengths.filter((length) => length === -1).length > 1) refuse(site.node, "it keeps several open axes");
  return site.emit("Reshape", [value, site.list(lengths)]);
}

/** Inputs: values, weights [outputs, inputs], bias. */
const fullyConnected: ConversionRow = {
  convert: (site) => {
    const { node, input, optional, emit } = site;
    const format = choice(node, "weights_format", "DEFAULT");
    if (format !== "DEFAULT")
      refuse(node, `weights in the format ${format} belong to integer models; convert the float model`);
    const [outputs, width] = ofRank(site, input(1), 2).map((length) => known(node, length, "weights' shape"));
    const bias = optional(2);
    const x = rows(site, input(0), width!);
    const y = emit("Gemm", [x, input(1), ...(bias === undefined ? [] : [bias])], { transB: 1 });
    return flag(node, "keep_num_dims") ? unflattened(site, y, [...site.dims(input(0)).slice(0, -1), outputs!]) : y;
  },
  batch: alongRows,
};

/** The last two axes swapped. */
const swapped = (rank: number): readonly number[] =>
  Array.from({ length: rank }, (_, axis) => (axis < rank - 2 ? axis : 2 * rank - 3 - axis));

const batchMatmul: ConversionRow = {
  convert: (site) => {
    const [x, y] = ["adj_x", "adj_y"].map((name, i) => {
      const rank = site.dims(site.input(i)).length;
      return flag(site.node, name) ? site.turned(site.input(i), swapped(rank)) : site.input(i);
    });
    return site.emit("MatMul", [x!, y!]);
  },
  batch: stacked,
};

export const productRows = {
  FULLY_CONNECTED: fullyConnected,
  BATCH_MATMUL: batchMatmul,
} satisfies Readonly<Record<string, ConversionRow>>;
