/** Models of one TFLite op, and the check that conversion keeps what they compute: both are run on their real engines. */
import { expect } from "vitest";
import { encodeTflite } from "../containers/tflite/index.ts";
import type { Engine } from "../engines/contract.ts";
import { openLitert } from "../engines/litert.ts";
import { type AttributeInit, node, tensor, tfliteModel } from "../ir/build.ts";
import type { Feeds, Model, NDArray, Tensor, ValueInfo } from "../ir/model.ts";
import { collect } from "../ir/source.ts";
import { loadLitert } from "../node/litert.ts";
import { bytesOf, emptyArray, floatsOf } from "../numeric/convert.ts";
import { DTYPES, type DType, elementCount } from "../numeric/dtypes.ts";
import { rng } from "../numeric/rng.ts";
import { opsOf, run } from "../passes/same-outputs.case.ts";
import { type Converted, tfliteToOnnx } from "./index.ts";

/** An input, a constant or an output of the op. */
export interface Slot {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Of a constant. */
  readonly values?: readonly number[];
}

/** A float input or output. */
export const f = (...shape: readonly number[]): Slot => ({ dtype: "float32", shape });
/** An input or output of another type. */
export const of = (dtype: DType, ...shape: readonly number[]): Slot => ({ dtype, shape });
/** A constant of random floats. */
export const w = (...shape: readonly number[]): Slot => ({ ...f(...shape), values: normals(elementCount(shape), 3) });
/** A constant vector of int32. */
export const ints = (...values: readonly number[]): Slot => ({ dtype: "int32", shape: [values.length], values });
/** A constant of int32 in another shape. */
export const shaped = (shape: readonly number[], ...values: readonly number[]): Slot => ({
  dtype: "int32",
  shape,
  values,
});
/** A constant float. */
export const scalar = (value: number): Slot => ({ dtype: "float32", shape: [], values: [value] });
/** An optional input that is left out. */
export const none: Slot = { dtype: "float32", shape: [-1] };

function normals(count: number, seed: number): readonly number[] {
  const { normal } = rng(seed);
  return Array.from({ length: count }, normal);
}

function filled(dtype: DType, values: readonly number[]) {
  const data = emptyArray(dtype, values.length);
  const wide = DTYPES[dtype].bits === 64 && DTYPES[dtype].kind !== "float";
  for (const [i, value] of values.entries()) data[i] = wide ? BigInt(value) : value;
  return data;
}

/** A model of one node; inputs are x0, x1, ..., constants c0, c1, ... by their place, outputs y0, y1, ... */
export function opModel(
  op: string,
  inputs: readonly Slot[],
  outputs: readonly Slot[],
  attributes: Readonly<Record<string, AttributeInit>> = {},
): Model {
  const name = (slot: Slot, i: number): string => (slot === none ? "" : slot.values ? `c${i}` : `x${i}`);
  const info =
    (prefix: string) =>
    (slot: Slot, i: number): ValueInfo[] =>
      slot === none || slot.values ? [] : [{ name: `${prefix}${i}`, dtype: slot.dtype, shape: slot.shape }];
  const constant = ({ dtype, shape, values }: Slot, i: number): Tensor[] =>
    values ? [tensor(`c${i}`, dtype, shape, filled(dtype, values))] : [];
  return tfliteModel({
    inputs: inputs.flatMap(info("x")),
    outputs: outputs.flatMap(info("y")),
    nodes: [
      node(
        op,
        inputs.map(name),
        outputs.map((_, i) => `y${i}`),
        { name: "it", attributes },
      ),
    ],
    tensors: inputs.flatMap(constant),
  });
}

let litert: Promise<Engine> | undefined;
async function tfliteEngine(): Promise<Engine> {
  litert ??= openLitert({ load: loadLitert }).then(({ engine, reason }) => {
    if (!engine) throw new Error(reason);
    return engine;
  });
  return litert;
}

/** Runs a TFLite model on LiteRT; more samples than its batch are run one after the other. */
export async function runTflite(model: Model, feeds: Feeds): Promise<Readonly<Record<string, NDArray>>> {
  const session = await (await tfliteEngine()).open({ bytes: await collect(encodeTflite(model).main) });
  try {
    return await session.run(feeds);
  } finally {
    await session.close();
  }
}

/** Values of an input; positions stay below 2, so that they lie in every table. */
function drawn({ dtype, shape }: Slot, seed: number): NDArray {
  const raw = normals(elementCount(shape), seed);
  const values = dtype === "float32" ? raw : raw.map((value) => (value > 0 ? 1 : 0));
  return { dtype, shape, data: filled(dtype, values) };
}

export interface OpCheck {
  /** Any number of samples at once; true unless told. */
  readonly open?: boolean;
  /** Largest difference as a share of the largest value; by default what float32 sums of some hundred products leave. */
  readonly tolerance?: number;
  /** Values to feed in place of standard normal ones. */
  readonly feed?: (value: number) => number;
}

const ROUNDING = 2e-6;
const SAMPLES = 3;

function feedsFor(model: Model, samples: number, feed: (value: number) => number): Feeds {
  const one = ({ name, dtype = "float32", shape = [] }: ValueInfo, i: number): readonly [string, NDArray] => {
    const lengths = shape.map((dim, axis) => (axis === 0 ? Number(dim) * samples : Number(dim)));
    const { data, ...rest } = drawn({ dtype, shape: lengths }, 11 + i);
    return [name, { ...rest, data: dtype === "float32" ? Float32Array.from(data as Float32Array, feed) : data }];
  };
  return Object.fromEntries(model.graph.inputs.map(one));
}

export function expectClose(expected: NDArray, found: NDArray, tolerance: number, where: string): void {
  expect([found.dtype, found.shape], where).toEqual([expected.dtype, expected.shape]);
  if (expected.dtype !== "float32") {
    expect(bytesOf(found.data), where).toEqual(bytesOf(expected.data));
    return;
  }
  const [a, b] = [floatsOf(expected.data, "float32"), floatsOf(found.data, "float32")];
  const size = a.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
  const error = a.reduce((largest, value, i) => Math.max(largest, Math.abs(value - b[i]!)), 0);
  expect(error, where).toBeLessThanOrEqual(tolerance * size);
}

/** Converts a model and runs both: one batch, and where the batch is open several samples at once. */
export async function expectConverted(model: Model, check: OpCheck = {}): Promise<Converted> {
  const { open = true, tolerance = ROUNDING, feed = (value) => value } = check;
  const converted = await tfliteToOnnx(model);
  expect(converted.fixedBatch === undefined, converted.fixedBatch).toBe(open);
  for (const samples of open ? [1, SAMPLES] : [1]) {
    const feeds = feedsFor(model, samples, feed);
    const expected = await runTflite(model, feeds);
    const found = await run(converted.model, feeds);
    for (const { name } of model.graph.outputs)
      expectClose(expected[name]!, found[name]!, tolerance, `${name}, ${samples} at once`);
  }
  return converted;
}

/** Transposes in a converted model. */
export const transposes = ({ model }: Converted): number => opsOf(model).filter((op) => op === "Transpose").length;
