/** Ops that take parts: SPLIT, SPLIT_V, SLICE, STRIDED_SLICE. */
import { fail } from "../../numeric/errors.ts";
import { type Call, clamp, expectShape, inputOf, type Kernel, numbersOf, type Operand } from "./call.ts";
import { gatherInto, moved } from "./movement.ts";
import { axisOf, offsetsOf, stridesOf } from "./shapes.ts";

/** SPLIT: inputs are the axis and the value; equal parts. */
export const split: Kernel = (call) => {
  const input = inputOf(call, 1);
  const axis = axisOf(call.where, numbersOf(inputOf(call, 0))[0] ?? 0, input.shape.length);
  splitInto(call, input, axis);
};

/** SPLIT_V: inputs are the value, the lengths of the parts and the axis. */
export const splitV: Kernel = (call) => {
  const input = inputOf(call, 0);
  splitInto(call, input, axisOf(call.where, numbersOf(inputOf(call, 2))[0] ?? 0, input.shape.length));
};

function splitInto(call: Call, input: Operand, axis: number): void {
  const steps = stridesOf(input.shape);
  let first = 0;
  for (const output of call.outputs) {
    moved(call, input, output);
    const length = output.shape[axis] ?? 0;
    expectShape(
      call,
      output,
      input.shape.map((whole, i) => (i === axis ? length : whole)),
    );
    if (first + length > input.shape[axis]!)
      fail("graph", `${call.where}: the parts are longer than axis ${axis} of [${input.shape}]`);
    gatherInto(input, output, offsetsOf(output.shape, steps, first * steps[axis]!));
    first += length;
  }
}

/** SLICE: begin and size per axis, a size of -1 reaches to the end. */
export const slice: Kernel = (call) => {
  const [input, output] = moved(call);
  const [begin, size] = [numbersOf(inputOf(call, 1)), numbersOf(inputOf(call, 2))];
  const shape = input.shape.map((length, axis) => (size[axis] === -1 ? length - begin[axis]! : (size[axis] ?? -1)));
  if (shape.some((length, axis) => !(begin[axis]! >= 0 && length >= 0 && begin[axis]! + length <= input.shape[axis]!)))
    fail("graph", `${call.where}: begin [${begin}] and size [${size}] leave the input's shape [${input.shape}]`);
  expectShape(call, output, shape);
  const steps = stridesOf(input.shape);
  const start = steps.reduce((sum, step, axis) => sum + step * begin[axis]!, 0);
  gatherInto(input, output, offsetsOf(shape, steps, start));
};

/** First index, step and number of indices of one axis of STRIDED_SLICE. */
interface Range {
  readonly first: number;
  readonly step: number;
  readonly count: number;
}

interface RangeInit {
  readonly begin: number | undefined;
  readonly end: number | undefined;
  readonly step: number;
  readonly shrink: boolean;
}

function rangeOf(where: string, length: number, { begin, end, step, shrink }: RangeInit): Range {
  if (step === 0) fail("graph", `${where}: a stride of 0 never ends`);
  const [low, high] = step > 0 ? [0, length] : [-1, length - 1];
  const place = (index: number | undefined, otherwise: number): number =>
    index === undefined ? otherwise : clamp(index < 0 ? index + length : index, low, high);
  const first = place(begin, step > 0 ? 0 : length - 1);
  if (shrink && first >= 0 && first < length) return { first, step, count: 1 };
  const last = place(end, step > 0 ? length : -1);
  return { first, step, count: Math.max(0, Math.ceil((last - first) / step)) };
}

function rangesOf(call: Call, input: Operand): readonly Range[] {
  const [begin, end, steps] = [1, 2, 3].map((index) => numbersOf(inputOf(call, index)));
  const bit = (name: string, axis: number): boolean => (call.options.number(name, 0) & (1 << axis)) !== 0;
  for (const mask of ["ellipsis_mask", "new_axis_mask", "offset"])
    if (call.options.number(mask, 0) !== 0) fail("unsupported", `${call.where}: ${mask} is not computed`);
  return input.shape.map((length, axis) =>
    rangeOf(call.where, length, {
      begin: bit("begin_mask", axis) ? undefined : begin![axis],
      end: bit("end_mask", axis) ? undefined : end![axis],
      step: steps![axis] ?? 1,
      shrink: bit("shrink_axis_mask", axis),
    }),
  );
}

/** STRIDED_SLICE without new axes. */
export const stridedSlice: Kernel = (call) => {
  const [input, output] = moved(call);
  const ranges = rangesOf(call, input);
  const shape = ranges.map(({ count }) => count);
  const mask = call.options.number("shrink_axis_mask", 0);
  expectShape(
    call,
    output,
    shape.filter((_, axis) => (mask & (1 << axis)) === 0),
  );
  const strides = stridesOf(input.shape);
  const start = ranges.reduce((sum, { first }, axis) => sum + first * strides[axis]!, 0);
  const steps = ranges.map(({ step }, axis) => step * strides[axis]!);
  gatherInto(input, output, offsetsOf(shape, steps, start));
};
