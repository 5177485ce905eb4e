/** RESIZE_NEAREST_NEIGHBOR and RESIZE_BILINEAR of images of [batch, height, width, channels]. */
import { fail } from "../../numeric/errors.ts";
import { roundHalfAway, roundHalfEven } from "../../numeric/rounding.ts";
import {
  type Call,
  clamp,
  elements,
  expectRank,
  expectSameType,
  expectShape,
  expectType,
  inputOf,
  type Kernel,
  numbersOf,
  type Operand,
  outputOf,
} from "./call.ts";

import { divideByPowerOfTwo } from "./fixed-point.ts";
import { areCodes8 } from "./xnnpack.ts";

const { fround } = Math;

/** How the corners of both images meet. */
interface Corners {
  readonly align: boolean;
  readonly half: boolean;
}

function imagesOf(call: Call): readonly [Operand, Operand, Corners] {
  const [input, output] = [inputOf(call, 0), outputOf(call)];
  expectRank(call, input, 4);
  expectSameType(call, input, output);
  const [height, width] = numbersOf(inputOf(call, 1));
  expectShape(call, output, [input.shape[0]!, height ?? -1, width ?? -1, input.shape[3]!]);
  const flag = (name: string): boolean => call.options.number(name, 0) !== 0;
  const corners = { align: flag("align_corners"), half: flag("half_pixel_centers") };
  if (corners.align && corners.half) fail("graph", `${call.where}: align_corners excludes half_pixel_centers`);
  return [input, output, corners];
}

/** Index of the source nearest to `at`. */
function nearest(at: number, input: number, output: number, { align, half }: Corners): number {
  const scale = align && output > 1 ? fround((input - 1) / (output - 1)) : fround(input / output);
  const place = fround(fround(at + (half ? 0.5 : 0)) * scale);
  return Math.max(0, Math.min(align ? roundHalfAway(place) : Math.floor(place), input - 1));
}

/** Calls `visit` for every row and column of the output with the offset of its first channel. */
function eachPixel(output: Operand, visit: (batch: number, y: number, x: number, at: number) => void): void {
  const [batches, height, width, channels] = output.shape as [number, number, number, number];
  for (let batch = 0, at = 0; batch < batches; batch++)
    for (let y = 0; y < height; y++) for (let x = 0; x < width; x++, at += channels) visit(batch, y, x, at);
}

/** Offset of the first channel of a pixel. */
const pixelOf =
  ({ shape }: Operand) =>
  (batch: number, y: number, x: number): number =>
    ((batch * shape[1]! + y) * shape[2]! + x) * shape[3]!;

/** RESIZE_NEAREST_NEIGHBOR. */
export const resizeNearestNeighbor: Kernel = (call) => {
  const [input, output, corners] = imagesOf(call);
  expectType(call, input, ["float32", "int8", "uint8", "int16", "int32"]);
  const [data, out, pixel] = [elements(input), elements(output), pixelOf(input)];
  eachPixel(output, (batch, y, x, at) => {
    const row = nearest(y, input.shape[1]!, output.shape[1]!, corners);
    const column = nearest(x, input.shape[2]!, output.shape[2]!, corners);
    const from = pixel(batch, row, column);
    for (let c = 0; c < input.shape[3]!; c++) out[at + c] = data[from + c]!;
  });
};

/** Neighbours of a place in the source, and how far it lies behind the first, in `one`s. */
interface Between {
  readonly low: number;
  readonly high: number;
  readonly behind: number;
}

/** Positions in 1/1024 pixels, as the builtin kernel has them. */
function betweenCodes(at: number, input: number, output: number, { align, half }: Corners): Between {
  const [from, to] = align && output > 1 ? [input - 1, output - 1] : [input, output];
  const scale = Math.trunc((1024 * from + Math.trunc(to / 2)) / to);
  const place = half ? at * scale + Math.trunc(scale / 2) - 512 : at * scale;
  const low = Math.max(0, Math.trunc(place / 1024));
  return { low, high: Math.min(Math.trunc((place + 1023) / 1024), input - 1), behind: place - low * 1024 };
}

/** Positions in 1/2048 pixels within the image, as XNNPACK has them. */
function betweenXnnpack(at: number, input: number, output: number, { align, half }: Corners): Between {
  const less = align && output !== 1 ? 1 : 0;
  const scale = fround((input - less) / (output - less));
  const offset = half ? fround(fround(0.5 * scale) - 0.5) : 0;
  const place = clamp(fround(fround(at * scale) + offset), 0, input - 1);
  const low = Math.floor(place);
  return { low, high: Math.min(low + 1, input - 1), behind: roundHalfEven(fround(place - low) * 2048) };
}

/** Positions in pixels, as floats are interpolated. */
function betweenFloats(at: number, input: number, output: number, { align, half }: Corners): Between {
  const [from, to] = align && output > 1 ? [input - 1, output - 1] : [input, output];
  const scale = fround(from / to);
  const place = half ? fround(fround(at + 0.5) * scale) - 0.5 : fround(at * scale);
  const low = Math.max(0, Math.floor(place));
  return { low, high: Math.min(Math.ceil(place), input - 1), behind: place - low };
}

/** How positions are counted and sums end. */
interface Interpolation {
  readonly between: typeof betweenCodes;
  /** What `behind` counts a whole pixel as. */
  readonly one: number;
  readonly end: (sum: number) => number;
}

const BUILTIN: Interpolation = { between: betweenCodes, one: 1024, end: (sum) => divideByPowerOfTwo(sum, 20) };
const XNNPACK: Interpolation = {
  between: betweenXnnpack,
  one: 2048,
  end: (sum) => Math.floor((sum + 2 ** 21) / 2 ** 22),
};
const FLOATS: Interpolation = { between: betweenFloats, one: 1, end: (sum) => sum };

function interpolationOf(input: Operand, output: Operand): Interpolation {
  if (input.dtype === "float32") return FLOATS;
  return areCodes8(input, output) ? XNNPACK : BUILTIN;
}

/** RESIZE_BILINEAR. */
export const resizeBilinear: Kernel = (call) => {
  const [input, output, corners] = imagesOf(call);
  expectType(call, input, ["float32", "int8", "uint8", "int16"]);
  const { between, one, end } = interpolationOf(input, output);
  const [data, out, pixel] = [elements(input), elements(output), pixelOf(input)];
  eachPixel(output, (batch, y, x, at) => {
    const row = between(y, input.shape[1]!, output.shape[1]!, corners);
    const column = between(x, input.shape[2]!, output.shape[2]!, corners);
    const [a, b] = [pixel(batch, row.low, column.low), pixel(batch, row.low, column.high)];
    const [c, d] = [pixel(batch, row.high, column.low), pixel(batch, row.high, column.high)];
    for (let i = 0; i < input.shape[3]!; i++) {
      const top = data[a + i]! * (one - column.behind) + data[b + i]! * column.behind;
      const bottom = data[c + i]! * (one - column.behind) + data[d + i]! * column.behind;
      out[at + i] = end(top * (one - row.behind) + bottom * row.behind);
    }
  });
};
