/** Whether an array of samples fits a model input, and its conversion to the input's type. */
import type { Dim, NDArray, TypedArray, ValueInfo } from "../ir/model.ts";
import { emptyArray, floatsOf } from "../numeric/convert.ts";
import { DTYPES, type DType } from "../numeric/dtypes.ts";
import { fail } from "../numeric/errors.ts";
import { encodeBfloat16, encodeHalf } from "../numeric/half.ts";

const printed = (shape: readonly Dim[]): string => `[${shape.map((dim) => dim ?? "?").join(", ")}]`;

/** The length that the first dimension of every input is fixed to; undefined when the model takes any batch. */
export function fixedBatch(inputs: readonly ValueInfo[]): number | undefined {
  const fixed = new Map(
    inputs.flatMap(({ name, shape }) => (typeof shape?.[0] === "number" ? [[shape[0], name] as const] : [])),
  );
  if (fixed.size < 2) return fixed.keys().next().value;
  const list = [...fixed].map(([length, name]) => `"${name}" takes ${length}`).join(", ");
  return fail("unsupported", `the first dimensions of the model's inputs are fixed to different lengths: ${list}`);
}

function checkShape(found: readonly number[], input: ValueInfo, where: string): void {
  const { name, shape } = input;
  if (shape === undefined) return;
  const expected = `input "${name}" takes ${printed(shape)}`;
  if (shape.length === 0) fail("unsupported", `${where}: ${expected}, a single number without an axis for samples`);
  if (found.length !== shape.length) {
    const hint = found.length === shape.length - 1 ? "; put an axis for samples in front" : "";
    fail(
      "data",
      `${where}: ${expected}, found ${printed(found)}: expected ${shape.length} axes, samples on the first${hint}`,
    );
  }
  const wrong = shape.findIndex((dim, axis) => axis > 0 && typeof dim === "number" && dim !== found[axis]);
  if (wrong > 0) fail("data", `${where}: ${expected}, found ${printed(found)}: axis ${wrong} must be ${shape[wrong]}`);
}

const isInteger = (dtype: DType): boolean => ["int", "uint", "bool"].includes(DTYPES[dtype].kind);

/** Types an array can be converted to without loss of meaning; integers never come from floats. */
function checkDType(found: DType, input: ValueInfo, where: string): void {
  const { name, dtype } = input;
  if (dtype === undefined || dtype === found) return;
  if (DTYPES[dtype].bits < 8 || ["string", "complex"].includes(DTYPES[dtype].kind) || dtype.startsWith("float8"))
    fail("unsupported", `${where}: input "${name}" takes ${dtype}, which can't be fed from arrays`);
  if (isInteger(dtype) && !isInteger(found))
    fail("data", `${where}: input "${name}" takes ${dtype}, found ${found}; save the array as ${dtype}`);
}

/** Checks an array [samples, ...] against a model input; errors say where, expected and found. */
export function checkFit(array: Pick<NDArray, "dtype" | "shape">, input: ValueInfo, where: string): void {
  checkDType(array.dtype, input, where);
  checkShape(array.shape, input, where);
  if (array.shape.length === 0) fail("data", `${where}: a single number, expected samples on a first axis`);
  const empty = array.shape.indexOf(0);
  if (empty === 0) fail("data", `${where}: holds no samples`);
  if (empty > 0) fail("data", `${where}: its samples are empty, shape ${printed(array.shape)}`);
}

function castIntegers(data: TypedArray, dtype: DType, where: string): TypedArray {
  const { min, max, bits } = DTYPES[dtype];
  const out = emptyArray(dtype, data.length);
  for (let i = 0; i < data.length; i++) {
    const value = data[i]!;
    if (value < min || value > max) fail("data", `${where}: ${value} does not fit the input's type ${dtype}`);
    out[i] = bits === 64 ? BigInt(value) : Number(value);
  }
  return out;
}

const TO_FLOAT: Partial<Record<DType, (values: Float32Array) => TypedArray>> = {
  float32: (values) => values,
  float16: (values) => encodeHalf(values),
  bfloat16: (values) => encodeBfloat16(values),
};

function castFloats(data: TypedArray, from: DType, to: DType): TypedArray {
  if (to !== "float64") return TO_FLOAT[to]!(floatsOf(data, from));
  return from === "float16" || from === "bfloat16"
    ? Float64Array.from(floatsOf(data, from))
    : Float64Array.from(data as ArrayLike<number | bigint>, Number);
}

/** The array in the input's type. Integers for a float input keep their numbers: they are cast, not scaled. */
export function castData(array: NDArray, dtype: DType, where: string): NDArray {
  if (array.dtype === dtype) return array;
  const data = isInteger(dtype) ? castIntegers(array.data, dtype, where) : castFloats(array.data, array.dtype, dtype);
  return { dtype, shape: array.shape, data };
}
