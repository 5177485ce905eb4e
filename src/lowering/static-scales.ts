/** Scales of weights that are rounded to a grid per channel: covering ones, or searched. */
import type { QParams } from "../ir/scheme.ts";
import type { AxisShape } from "../kernels/axis.ts";
import { clippedAxisScales } from "../kernels/axis-clip.ts";
import { fail } from "../numeric/errors.ts";
import { channelCount, channelParams, type Grid, type Layout } from "./dynamic-codes.ts";

/** Scale and zero point of every channel of a layout. */
type FindParams = (values: Float32Array, layout: Layout, grid: Grid) => QParams;

/** `blocks` of the layout is 1. */
function axisShapeOf(layout: Layout): AxisShape {
  const { rows, cols, channels } = layout;
  if (channels === "columns") return { outer: rows, channels: cols, inner: 1 };
  const count = channelCount(layout);
  return { outer: 1, channels: count, inner: (rows * cols) / count };
}

/** Least squared error per channel; `blocks` of the layout is 1 and the grid symmetric. */
function searched(values: Float32Array, layout: Layout, grid: Grid): QParams {
  const { scales, zeroPoints } = clippedAxisScales(values, axisShapeOf(layout), grid);
  return { scale: scales, zeroPoint: zeroPoints };
}

const METHODS: Readonly<Record<string, FindParams>> = { rtn: channelParams, mse: searched };

/** Scales and zero points of a weight by the name of an algorithm; `unsupported` for those that have none per channel. */
export const findParams = (algorithm: string): FindParams =>
  METHODS[algorithm] ??
  fail(
    "unsupported",
    `algorithm ${algorithm} has no scales per channel; expected ${Object.keys(METHODS).join(" or ")}`,
  );
