/** Convolutions over images of [batch, height, width, channels]. */
import { fail } from "../../numeric/errors.ts";
import {
  centered,
  expectWeighted,
  type Finish,
  finisher,
  type Rounding,
  takenByXnnpack,
  type Weighted,
} from "./accumulator.ts";
import {
  type Call,
  elements,
  expectRank,
  expectShape,
  inputOf,
  type Kernel,
  type Operand,
  outputOf,
  zeroOf,
} from "./call.ts";
import { roundedOnce, roundedTwice, roundedWide } from "./fixed-point.ts";
import { strides, type Window, windowOf } from "./window.ts";

/** What one output channel reads: `depth` input channels from `first` on, and the weights of a tap at `base + tap * step`. */
interface Lane {
  readonly first: number;
  readonly depth: number;
  readonly base: number;
  readonly step: number;
}

interface Layer {
  readonly data: Float64Array;
  readonly weights: Float64Array;
  readonly channels: number;
  readonly rows: Window;
  readonly columns: Window;
}

/** Unsigned weights have a zero point; signed ones are symmetric. */
const unsigned = ({ filter }: Weighted): boolean => filter.dtype === "uint8";

/** Full convolutions are matrix products; the others add up taps. */
const MATRIX = { narrow: roundedOnce, wide: roundedWide };
const TAPS = { narrow: roundedTwice, wide: roundedWide };

const layerOf = (operands: Weighted, rows: Window, columns: Window): Layer => ({
  data: centered(operands.input),
  weights: centered(operands.filter, unsigned(operands) ? zeroOf(operands.filter) : 0),
  channels: operands.input.shape[3]!,
  rows,
  columns,
});

function checked(call: Call, operands: Weighted): Weighted {
  for (const operand of [operands.input, operands.filter, operands.output]) expectRank(call, operand, 4);
  expectWeighted(call, operands);
  return operands;
}

/** Sum of products of one tap: a pixel of the image with the weights of a channel. */
function tapSum({ data, weights, channels }: Layer, lane: Lane, pixel: number, tap: number): number {
  const from = pixel * channels + lane.first;
  const at = lane.base + tap * lane.step;
  let sum = 0;
  for (let i = 0; i < lane.depth; i++) sum += data[from + i]! * weights[at + i]!;
  return sum;
}

/** Sum of the window of output (y, x) in one channel. */
function windowSum(layer: Layer, lane: Lane, batch: number, y: number, x: number): number {
  const { rows, columns } = layer;
  let sum = 0;
  for (let fy = 0; fy < rows.taps; fy++) {
    const inY = y * rows.stride - rows.pad + fy * rows.dilation;
    if (inY < 0 || inY >= rows.input) continue;
    for (let fx = 0; fx < columns.taps; fx++) {
      const inX = x * columns.stride - columns.pad + fx * columns.dilation;
      if (inX < 0 || inX >= columns.input) continue;
      sum += tapSum(layer, lane, (batch * rows.input + inY) * columns.input + inX, fy * columns.taps + fx);
    }
  }
  return sum;
}

/** As `windowSum` for the transposed convolution: input (inY, inX) reaches output (y, x) by tap (y - inY * stride, ...). */
function scatteredSum(layer: Layer, lane: Lane, batch: number, y: number, x: number): number {
  const { rows, columns } = layer;
  let sum = 0;
  for (let fy = 0; fy < rows.taps; fy++) {
    const inY = (y + rows.pad - fy) / rows.stride;
    if (!Number.isInteger(inY) || inY < 0 || inY >= rows.output) continue;
    for (let fx = 0; fx < columns.taps; fx++) {
      const inX = (x + columns.pad - fx) / columns.stride;
      if (!Number.isInteger(inX) || inX < 0 || inX >= columns.output) continue;
      sum += tapSum(layer, lane, (batch * rows.output + inY) * columns.output + inX, fy * columns.taps + fx);
    }
  }
  return sum;
}

/** Fills the output from a sum per position and channel. */
function fill(output: Operand, lanes: readonly Lane[], layer: Layer, sumOf: typeof windowSum, finish: Finish): void {
  const [batches, height, width] = output.shape as [number, number, number];
  const out = elements(output);
  let at = 0;
  for (let batch = 0; batch < batches; batch++)
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++)
        for (let c = 0; c < lanes.length; c++) out[at++] = finish(sumOf(layer, lanes[c]!, batch, y, x), c);
}

/** Windows of both axes of a convolution. */
function windowsOf(call: Call, image: Operand, filter: Operand): readonly [Window, Window] {
  const [strideH, strideW] = strides(call);
  const dilation = (side: string): number => call.options.number(`dilation_${side}_factor`, 1);
  return [
    windowOf(call, image.shape[1]!, { taps: filter.shape[1]!, stride: strideH, dilation: dilation("h") }),
    windowOf(call, image.shape[2]!, { taps: filter.shape[2]!, stride: strideW, dilation: dilation("w") }),
  ];
}

function convolve(
  call: Call,
  rounding: Omit<Rounding, "singleScale">,
  lanesOf: (operands: Weighted) => readonly Lane[],
): void {
  const operands = { input: inputOf(call, 0), filter: inputOf(call, 1), bias: call.inputs[2], output: outputOf(call) };
  const { input, output } = checked(call, operands);
  const lanes = lanesOf(operands);
  const [rows, columns] = windowsOf(call, input, operands.filter);
  expectShape(call, output, [input.shape[0]!, rows.output, columns.output, lanes.length]);
  const rule = { ...rounding, singleScale: unsigned(operands) };
  const xnnpack = takenByXnnpack(operands) && operands.bias !== undefined;
  const finish = finisher(call, operands, lanes.length, rule, xnnpack);
  fill(output, lanes, layerOf(operands, rows, columns), windowSum, finish);
}

/** Weights of [out, height, width, in]: fewer input channels than the image has make groups. */
function fullLanes(call: Call, image: number, filter: readonly number[]): readonly Lane[] {
  const [channels, height, width, depth] = filter as [number, number, number, number];
  const groups = image / depth;
  if (!Number.isInteger(groups) || groups < 1 || channels % groups !== 0)
    fail("graph", `${call.where}: weights of shape [${filter}] don't divide ${image} input channels into groups`);
  return Array.from({ length: channels }, (_, c) => ({
    first: Math.floor(c / (channels / groups)) * depth,
    depth,
    base: c * height * width * depth,
    step: depth,
  }));
}

/** Weights of [1, height, width, out]: each output channel reads one input channel. */
function depthwiseLanes(call: Call, image: number, filter: readonly number[]): readonly Lane[] {
  const channels = filter[3]!;
  const multiplier = channels / image;
  if (!Number.isInteger(multiplier) || filter[0] !== 1)
    fail("graph", `${call.where}: weights of shape [${filter}] don't fit ${image} input channels`);
  return Array.from({ length: channels }, (_, c) => ({
    first: Math.floor(c / multiplier),
    depth: 1,
    base: c,
    step: channels,
  }));
}

/** CONV_2D. */
export const conv2d: Kernel = (call) =>
  convolve(call, MATRIX, ({ input, filter }) => fullLanes(call, input.shape[3]!, filter.shape));

/** DEPTHWISE_CONV_2D; the depth multiplier follows from the shapes. */
export const depthwiseConv2d: Kernel = (call) =>
  convolve(call, TAPS, ({ input, filter }) => depthwiseLanes(call, input.shape[3]!, filter.shape));

/** TRANSPOSE_CONV: inputs are the output's shape, weights of [out, height, width, in], the image and perhaps a bias. */
export const transposeConv: Kernel = (call) => {
  const operands = { input: inputOf(call, 2), filter: inputOf(call, 1), bias: call.inputs[3], output: outputOf(call) };
  const { input, filter, output } = checked(call, operands);
  const [rows, columns] = windowsOf(call, output, filter);
  expectShape(call, input, [output.shape[0]!, rows.output, columns.output, filter.shape[3]!]);
  expectShape(call, output, [input.shape[0]!, output.shape[1]!, output.shape[2]!, filter.shape[0]!]);
  const lanes = fullLanes(call, input.shape[3]!, filter.shape);
  const finish = finisher(call, operands, lanes.length, { ...TAPS, singleScale: unsigned(operands) });
  fill(output, lanes, layerOf(operands, rows, columns), scatteredSum, finish);
};
