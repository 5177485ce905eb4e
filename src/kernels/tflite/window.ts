/** Where windows of convolutions and pools lie on an axis of the image. */
import { fail } from "../../numeric/errors.ts";
import type { Call } from "./call.ts";

/** One axis: window `o` covers inputs `o * stride - pad + tap * dilation` for each tap, those outside the image left out. */
export interface Window {
  readonly input: number;
  readonly output: number;
  readonly taps: number;
  readonly stride: number;
  readonly dilation: number;
  readonly pad: number;
}

/** What makes windows besides the image. */
export interface WindowInit {
  readonly taps: number;
  readonly stride: number;
  readonly dilation?: number;
}

/** Padding of both sides together; the lesser half goes first, as in TensorFlow. */
const padBefore = (init: Required<WindowInit>, input: number, output: number): number =>
  Math.max(0, (output - 1) * init.stride + (init.taps - 1) * init.dilation + 1 - input) >> 1;

/** Number of windows under SAME and VALID padding. */
const OUTPUTS: Readonly<Record<string, (input: number, reach: number, stride: number) => number>> = {
  SAME: (input, _, stride) => Math.ceil(input / stride),
  VALID: (input, reach, stride) => Math.max(0, Math.ceil((input - reach + 1) / stride)),
};

/** Windows along an axis of `input` elements. */
export function windowOf(call: Call, input: number, { taps, stride, dilation = 1 }: WindowInit): Window {
  const padding = call.options.text("padding", "SAME");
  const outputs = Object.hasOwn(OUTPUTS, padding) ? OUTPUTS[padding] : undefined;
  if (outputs === undefined) return fail("graph", `${call.where}: padding ${padding} is neither SAME nor VALID`);
  if (taps < 1 || stride < 1 || dilation < 1)
    fail("graph", `${call.where}: window of ${taps}, stride ${stride}, dilation ${dilation}; all must be at least 1`);
  const output = outputs(input, (taps - 1) * dilation + 1, stride);
  return { input, output, taps, stride, dilation, pad: padBefore({ taps, stride, dilation }, input, output) };
}

/** Strides of both axes from the options of an op. */
export const strides = ({ options }: Call): readonly [number, number] => [
  options.number("stride_h", 1),
  options.number("stride_w", 1),
];
