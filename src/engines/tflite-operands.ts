/** Values of a TFLite graph as operands of kernels. */
import { floatAttribute, intAttribute, stringAttribute } from "../ir/attributes.ts";
import type { Graph, NDArray, Node, Tensor, ValueInfo } from "../ir/model.ts";
import { readAll } from "../ir/source.ts";
import type { Operand, Options } from "../kernels/tflite/call.ts";
import { bytesOf, emptyArray, type TypedArray, typedView } from "../numeric/convert.ts";
import { byteLength, DTYPES, type DType, elementCount } from "../numeric/dtypes.ts";
import { fail } from "../numeric/errors.ts";
import { packCodes, type SubByteBits, unpackSigned, unpackUnsigned } from "../numeric/packing.ts";

/** 1 GiB of float32; no layer of a model that a plain interpreter can run is larger. */
const MAX_ELEMENTS = 2 ** 28;

/** TFLite's own limit is 8; more axes than this can only be damage. */
const MAX_RANK = 32;

const isPacked = (dtype: DType): boolean => DTYPES[dtype].bits < 8;

/** Codes of less than a byte, one per slot. */
function unpacked(bytes: Uint8Array, dtype: DType, count: number): TypedArray {
  const { bits, kind } = DTYPES[dtype];
  return (kind === "int" ? unpackSigned : unpackUnsigned)(bytes, bits as SubByteBits, count);
}

function lengthsOf({ name, shape }: Pick<ValueInfo, "name" | "shape">): readonly number[] {
  if (shape === undefined || shape.some((length) => typeof length !== "number"))
    return fail("unsupported", `value "${name}" has no shape of numbers; the reference needs to know all of them`);
  const lengths = shape as readonly number[];
  if (lengths.length > MAX_RANK || elementCount(lengths) > MAX_ELEMENTS)
    fail("limit", `value "${name}": shape [${lengths}] has more than ${MAX_ELEMENTS} elements or ${MAX_RANK} axes`);
  return lengths;
}

interface Typed {
  readonly name: string;
  readonly dtype?: DType;
  readonly quantization?: ValueInfo["quantization"];
}

function operand(
  { name, dtype, quantization }: Typed,
  shape: readonly number[],
  data: TypedArray,
  constant: boolean,
): Operand {
  if (quantization?.blocks) fail("unsupported", `value "${name}": scales of blocks are not computed by the reference`);
  const { scale = [], zeroPoint = [] } = quantization?.qparams ?? {};
  return { name, dtype: dtype!, shape, data, scale, zeroPoint, axis: quantization?.axis ?? 0, constant };
}

/** A constant with its bytes in memory. */
export async function constantOperand(tensor: Tensor): Promise<Operand> {
  const shape = lengthsOf(tensor);
  const count = elementCount(shape);
  const bytes = await readAll(tensor.data);
  if (bytes.byteLength < byteLength(tensor.dtype, count))
    fail("format", `tensor "${tensor.name}": ${bytes.byteLength} bytes are too few for [${shape}] of ${tensor.dtype}`);
  const data = isPacked(tensor.dtype) ? unpacked(bytes, tensor.dtype, count) : typedView(bytes, tensor.dtype);
  return operand(tensor, shape, data, true);
}

/** A value that a node fills. */
export function emptyOperand(value: ValueInfo): Operand {
  const dtype = value.dtype ?? fail("unsupported", `value "${value.name}" has no element type`);
  const shape = lengthsOf(value);
  const count = elementCount(shape);
  return operand(value, shape, isPacked(dtype) ? new Int8Array(count) : emptyArray(dtype, count), false);
}

/** What was fed for an input. */
export function fedOperand(value: ValueInfo, { dtype, data }: NDArray): Operand {
  const empty = emptyOperand(value);
  return { ...empty, data: isPacked(dtype) ? unpacked(bytesOf(data), dtype, empty.data.length) : data };
}

/** An operand as it leaves the engine. */
export function arrayOf({ dtype, shape, data }: Operand): NDArray {
  const packed = isPacked(dtype) ? packCodes(data as Int8Array, DTYPES[dtype].bits as SubByteBits) : data;
  return { dtype, shape, data: packed };
}

/** Declared type of any value of the graph. */
export function typesOf(graph: Graph): ReadonlyMap<string, ValueInfo> {
  const all = [...graph.values.values(), ...graph.outputs, ...graph.inputs];
  const declared = all.filter(({ dtype }) => dtype !== undefined);
  return new Map(declared.map((value) => [value.name, value]));
}

const isInt = (node: Node, name: string): boolean => node.attributes[name]?.type === "int";

/** The builtin options of a node as kernels ask for them. */
export const optionsOf = (node: Node): Options => ({
  number: (name, otherwise) =>
    node.attributes[name] === undefined || isInt(node, name)
      ? intAttribute(node, name, otherwise)
      : floatAttribute(node, name, otherwise),
  text: (name, otherwise) => stringAttribute(node, name, otherwise),
});
