/** Ops that only move elements: RESHAPE, SQUEEZE, EXPAND_DIMS, TRANSPOSE, CONCATENATION, PAD, PADV2, GATHER. */
import { elementCount } from "../../numeric/dtypes.ts";
import { fail } from "../../numeric/errors.ts";
import {
  activationRange,
  type Call,
  clamp,
  elements,
  expectSameType,
  expectShape,
  inputOf,
  isQuantized,
  type Kernel,
  numbersOf,
  type Operand,
  outputOf,
  scaleOf,
  zeroOf,
} from "./call.ts";
import { axisOf, offsetsOf, stridesOf } from "./shapes.ts";

/** Copies the elements of `input` at `offsets` to the output, in order. */
export function gatherInto(input: Operand, output: Operand, offsets: Int32Array): void {
  const [data, out] = [elements(input), elements(output)];
  for (let i = 0; i < out.length; i++) out[i] = data[offsets[i]!]!;
}

/** Input and output of an op that moves elements: both of the same type. */
export function moved(call: Call, input = inputOf(call, 0), output = outputOf(call)): readonly [Operand, Operand] {
  expectSameType(call, input, output);
  return [input, output];
}

/** RESHAPE, SQUEEZE, EXPAND_DIMS: the elements stay in order; the declared output shape says the rest. */
export const reshape: Kernel = (call) => {
  const [input, output] = moved(call);
  if (input.data.length !== output.data.length)
    fail(
      "graph",
      `${call.where}: [${input.shape}] has ${input.data.length} elements, the output's [${output.shape}] ${output.data.length}`,
    );
  elements(output).set(elements(input));
};

/** TRANSPOSE: axis i of the output is axis `perm[i]` of the input. */
export const transpose: Kernel = (call) => {
  const [input, output] = moved(call);
  const rank = input.shape.length;
  const perm = Array.from(numbersOf(inputOf(call, 1)), (axis) => axisOf(call.where, axis, rank));
  if (perm.length !== rank || new Set(perm).size !== rank)
    fail("graph", `${call.where}: [${perm}] is no order of ${rank} axes`);
  const strides = stridesOf(input.shape);
  expectShape(
    call,
    output,
    perm.map((axis) => input.shape[axis]!),
  );
  const steps = perm.map((axis) => strides[axis]!);
  gatherInto(input, output, offsetsOf(output.shape, steps));
};

const sameGrid = (a: Operand, b: Operand): boolean => scaleOf(a) === scaleOf(b) && zeroOf(a) === zeroOf(b);

/** Elements behind one index of `axis`. */
const blockAt = (shape: readonly number[], axis: number): number => elementCount(shape.slice(axis));

function checkParts(call: Call, parts: readonly Operand[], output: Operand, axis: number): void {
  for (const part of parts) {
    moved(call, part, output);
    if (isQuantized(output) && !sameGrid(part, output))
      fail("unsupported", `${call.where}: "${part.name}" and the output have different scales; quantize it before`);
    const others = (shape: readonly number[]) => shape.filter((_, i) => i !== axis).join();
    if (part.shape.length !== output.shape.length || others(part.shape) !== others(output.shape))
      fail("graph", `${call.where}: [${part.shape}] does not fit into [${output.shape}] along axis ${axis}`);
  }
  const length = parts.reduce((sum, part) => sum + part.shape[axis]!, 0);
  if (length !== output.shape[axis])
    fail("graph", `${call.where}: the inputs fill ${length} of the output's ${output.shape[axis]} along axis ${axis}`);
}

/** CONCATENATION of values on one grid. */
export const concatenation: Kernel = (call) => {
  const output = outputOf(call);
  const axis = axisOf(call.where, call.options.number("axis", 0), output.shape.length);
  const parts = call.inputs.map((_, index) => inputOf(call, index));
  checkParts(call, parts, output, axis);
  const whole = blockAt(output.shape, axis);
  const [low, high] = activationRange(call, output);
  const out = elements(output);
  let offset = 0;
  for (const part of parts) {
    const block = blockAt(part.shape, axis);
    const data = elements(part);
    for (let i = 0; i < data.length; i++) {
      const at = Math.floor(i / block) * whole + offset + (i % block);
      out[at] = typeof data[i] === "bigint" ? data[i]! : clamp(data[i]!, low, high);
    }
    offset += block;
  }
};

/** PAD and PADV2: zero, or the value of the third input, around the input. */
export const pad: Kernel = (call) => {
  const [input, output] = moved(call);
  const pads = numbersOf(inputOf(call, 1));
  if (pads.length !== 2 * input.shape.length || pads.some((count) => count < 0))
    fail("graph", `${call.where}: [${pads}] is no padding of shape [${input.shape}]`);
  const shape = input.shape.map((length, axis) => length + pads[2 * axis]! + pads[2 * axis + 1]!);
  expectShape(call, output, shape);
  const given = call.inputs[2];
  const out = elements(output);
  out.fill(given ? elements(given)[0]! : zeroLike(output));
  const strides = stridesOf(shape);
  const start = strides.reduce((sum, stride, axis) => sum + stride * pads[2 * axis]!, 0);
  const offsets = offsetsOf(input.shape, strides, start);
  const data = elements(input);
  for (let i = 0; i < data.length; i++) out[offsets[i]!] = data[i]!;
};

/** What stands for zero among the elements of an operand. */
const zeroLike = (operand: Operand): number =>
  isQuantized(operand) ? zeroOf(operand) : ((operand.data instanceof BigInt64Array ? 0n : 0) as number);

/** GATHER along an axis, without batch dimensions. */
export const gather: Kernel = (call) => {
  const [input, output] = moved(call);
  const indices = inputOf(call, 1);
  const axis = axisOf(call.where, call.options.number("axis", 0), input.shape.length);
  if (call.options.number("batch_dims", 0) !== 0) fail("unsupported", `${call.where}: batch_dims is not computed`);
  expectShape(call, output, [...input.shape.slice(0, axis), ...indices.shape, ...input.shape.slice(axis + 1)]);
  const [inner, length] = [blockAt(input.shape, axis + 1), input.shape[axis]!];
  const picks = numbersOf(indices);
  const bad = picks.find((index) => !(index >= 0 && index < length));
  if (bad !== undefined) fail("data", `${call.where}: index out of an axis of ${length}: ${bad} was given`);
  const [data, out] = [elements(input), elements(output)];
  for (let i = 0; i < out.length; i++) {
    const block = Math.floor(i / inner);
    const outer = Math.floor(block / picks.length);
    out[i] = data[(outer * length + picks[block % picks.length]!) * inner + (i % inner)]!;
  }
};
