/**
 * Reads what stands in front of a DequantizeLinear: a QuantizeLinear with the same scale, perhaps a Clip of the codes
 * between them (PyTorch for 7 bits, Brevitas for every narrow range), or a constant of codes.
 */
import { intAttribute } from "../ir/attributes.ts";
import type { Node, Tensor } from "../ir/model.ts";
import type { GivenGrid } from "../ir/scheme.ts";
import { computedSource, readAll } from "../ir/source.ts";
import { decodeFloats, typedView } from "../numeric/convert.ts";
import { DTYPES, type DType, elementCount } from "../numeric/dtypes.ts";
import { fail } from "../numeric/errors.ts";
import { MIN_SCALE } from "../numeric/qparams.ts";
import type { FindConstant } from "./values.ts";

/** Scales of one tensor; more are no channels of anything. */
const MAX_SCALES = 16_777_216;
/** Nodes between a DequantizeLinear and its codes: a Clip and a Cast, or a Gather and a Cast. */
const MAX_STEPS = 3;
/** Entries of a table of codes. */
const MAX_TABLE = 256;
/** Grids of more codes have no integer kernels and stay as they are. */
const MAX_CODE_BITS = 8;

/** A DequantizeLinear that can go. */
export interface Pair {
  readonly dq: Node;
  /** The float value or constant it hands on. */
  readonly source: string;
  /** Present when the source is a constant: of floats before a QuantizeLinear, or of codes. */
  readonly constant?: { readonly tensor: Tensor; readonly coded: boolean };
  readonly grid: GivenGrid;
}

/** What is known around a node. */
export interface Around {
  readonly constant: FindConstant;
  readonly producer: (name: string) => Node | undefined;
}

type Codes = readonly [number, number];

/** The pair that ends in this node; undefined for anything this form does not cover. */
export async function pairOf(dq: Node, around: Around): Promise<Pair | undefined> {
  if (dq.op !== "DequantizeLinear" || dq.domain !== "" || (dq.outputs[0] ?? "") === "") return undefined;
  let at = dq.inputs[0] ?? "";
  let limits: Codes = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
  for (let step = 0; step < MAX_STEPS; step++) {
    const tensor = around.constant(at);
    if (tensor !== undefined) return codedConstant(dq, tensor, limits, around);
    const node = around.producer(at);
    if (node === undefined || node.domain !== "") return undefined;
    if (node.op === "QuantizeLinear") return quantized(dq, node, limits, around);
    if (node.op === "Gather") return lookedUp(dq, node, limits, around);
    const next = node.op === "Clip" ? await clipLimits(node, around) : node.op === "Cast" ? limits : undefined;
    if (next === undefined) return undefined;
    limits = [Math.max(limits[0], next[0]), Math.min(limits[1], next[1])];
    at = node.inputs[0] ?? "";
  }
  return undefined;
}

async function codedConstant(dq: Node, tensor: Tensor, limits: Codes, around: Around): Promise<Pair | undefined> {
  const grid = isInteger(tensor.dtype) ? await gridOf(dq, tensor.dtype, limits, around) : undefined;
  if (grid === undefined) return undefined;
  const codes = DTYPES[tensor.dtype].bits > MAX_CODE_BITS ? grid.codes : await codesIn(tensor, grid);
  return { dq, source: tensor.name, constant: { tensor, coded: true }, grid: { ...grid, codes } };
}

/** The constant behind casts; undefined for anything else. */
function uncast(name: string, { constant, producer }: Around): Tensor | undefined {
  const node = producer(name);
  return node?.op === "Cast" && node.domain === "" ? constant(node.inputs[0] ?? "") : constant(name);
}

/** Codes out of a table: of 2 bits, odd ones are stored as the numbers of their entries. */
async function lookedUp(dq: Node, { inputs }: Node, limits: Codes, around: Around): Promise<Pair | undefined> {
  const [table, indices] = [around.constant(inputs[0] ?? ""), uncast(inputs[1] ?? "", around)];
  if (table === undefined || indices === undefined || !isInteger(table.dtype) || !isInteger(indices.dtype))
    return undefined;
  const [entries] = table.shape;
  if (table.shape.length !== 1 || entries! > MAX_TABLE || DTYPES[table.dtype].bits !== MAX_CODE_BITS) return undefined;
  const codes = Array.from(await elements(table));
  const codeAt = (index: number): number =>
    codes.at(index) ??
    fail("graph", `initializer "${indices.name}": index ${index} into the ${entries} codes of "${table.name}"`);
  const data = computedSource(elementCount(indices.shape), async () =>
    Uint8Array.from(await elements(indices), codeAt),
  );
  const pair = await codedConstant(dq, { ...indices, dtype: table.dtype, data }, limits, around);
  return pair && { ...pair, grid: { ...pair.grid, ...(codes.every((code) => code % 2 !== 0) && { odd: true }) } };
}

/** The codes a constant really uses, zero points included: 4-bit weights are often stored as int8. */
async function codesIn(tensor: Tensor, { codes: [low, high], qparams: { zeroPoint } }: GivenGrid): Promise<Codes> {
  let [first, last] = [high, low];
  for (const values of [await elements(tensor), zeroPoint])
    for (let i = 0; i < values.length; i++) {
      if (values[i]! < first) first = values[i]!;
      if (values[i]! > last) last = values[i]!;
    }
  return [Math.max(first, low), Math.min(last, high)];
}

/** Q and DQ must agree; values are quantized as a whole, constants also per channel. */
async function quantized(dq: Node, q: Node, limits: Codes, around: Around): Promise<Pair | undefined> {
  const dtype = around.constant(q.inputs[2] ?? "")?.dtype ?? "uint8";
  if ((q.inputs[2] ?? "") === "" && q.attributes.output_dtype !== undefined) return undefined;
  const grid = await gridOf(dq, dtype, limits, around);
  const other = await gridOf(q, dtype, limits, around);
  if (grid === undefined || other === undefined || !sameGrid(grid, other)) return undefined;
  const source = q.inputs[0]!;
  const tensor = around.constant(source);
  if (tensor !== undefined)
    return tensor.dtype === "float32" ? { dq, source, constant: { tensor, coded: false }, grid } : undefined;
  return grid.axis === undefined && DTYPES[dtype].bits <= MAX_CODE_BITS ? { dq, source, grid } : undefined;
}

/** Same scales and zero points, along the same axis. */
export const sameSteps = (a: GivenGrid, b: GivenGrid): boolean =>
  a.axis === b.axis && equal(a.qparams.scale, b.qparams.scale) && equal(a.qparams.zeroPoint, b.qparams.zeroPoint);

/** The same values on both grids. */
export const sameGrid = (a: GivenGrid, b: GivenGrid): boolean => sameSteps(a, b) && equal(a.codes, b.codes);

const equal = (a: ArrayLike<number>, b: ArrayLike<number>): boolean =>
  a.length === b.length && Array.from(a).every((value, i) => value === b[i]);

/** Bounds of a Clip on codes; undefined when they are no constants. */
async function clipLimits({ inputs }: Node, { constant }: Around): Promise<Codes | undefined> {
  const read = async (name: string | undefined, none: number): Promise<number> => {
    if (name === undefined || name === "") return none;
    const tensor = constant(name);
    const known = tensor !== undefined && isInteger(tensor.dtype) && elementCount(tensor.shape) === 1;
    return known ? (await elements(tensor))[0]! : Number.NaN;
  };
  const found: Codes = [
    await read(inputs[1], Number.NEGATIVE_INFINITY),
    await read(inputs[2], Number.POSITIVE_INFINITY),
  ];
  return found.some(Number.isNaN) ? undefined : found;
}

const isInteger = (dtype: DType): boolean => DTYPES[dtype].kind === "int" || DTYPES[dtype].kind === "uint";

/** Elements of a constant as numbers, without a copy where its type has an array of its own. */
export async function elements({ data, dtype, shape }: Tensor): Promise<ArrayLike<number>> {
  const bytes = await readAll(data);
  const plain = isInteger(dtype) && DTYPES[dtype].bits >= 8 && DTYPES[dtype].bits <= 32;
  return plain ? (typedView(bytes, dtype) as Int32Array) : decodeFloats(bytes, dtype, elementCount(shape));
}

/** Scale, zero point and axis of a Q or DQ node; undefined where they are computed, in blocks, or no grid. */
async function gridOf(node: Node, dtype: DType, limits: Codes, { constant }: Around): Promise<GivenGrid | undefined> {
  const row = DTYPES[dtype];
  const scales = constant(node.inputs[1] ?? "");
  const zeros = constant(node.inputs[2] ?? "");
  const count = scales === undefined ? 0 : elementCount(scales.shape);
  if (scales?.dtype !== "float32" || scales.shape.length > 1 || count === 0 || count > MAX_SCALES) return undefined;
  if (intAttribute(node, "block_size", 0) !== 0 || !isInteger(dtype)) return undefined;
  if ((node.inputs[2] ?? "") !== "" && (zeros === undefined || elementCount(zeros.shape) !== count)) return undefined;
  if (zeros !== undefined && !isInteger(zeros.dtype)) return undefined;
  const scale = decodeFloats(await readAll(scales.data), "float32", count);
  const zeroPoint = zeros === undefined ? new Int32Array(count) : Int32Array.from(await elements(zeros));
  if (!scale.every((step) => step >= MIN_SCALE && step < Number.POSITIVE_INFINITY)) return undefined;
  const codes: Codes = [Math.max(row.min, limits[0]), Math.min(row.max, limits[1])];
  if (codes[0] > codes[1]) return undefined;
  return { qparams: { scale, zeroPoint }, codes, ...(count === 1 ? {} : { axis: intAttribute(node, "axis", 1) }) };
}
