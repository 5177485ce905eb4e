/** Checks of Resize, which the engine has in float32 only. */
import { float, floatTensor, intTensor, node } from "../../ir/build.ts";
import type { GradCase } from "../gradcheck.case.ts";
import { type Attributes, of } from "./builders.case.ts";

const resize = (
  x: readonly number[],
  by: { readonly scales?: readonly number[]; readonly sizes?: readonly number[] },
  attributes: Attributes,
  opsets: readonly number[] = [16, 18, 19, 21],
): GradCase => ({
  op: "Resize",
  label: `[${x}] by ${by.scales ?? by.sizes} ${Object.entries(attributes)}`,
  inputs: { x: of(x) },
  precision: "float32",
  nodes: () => [node("Resize", by.scales ? ["x", "", "by"] : ["x", "", "", "by"], ["y"], { attributes })],
  tensors: () => [by.scales ? floatTensor("by", [by.scales.length], by.scales) : intTensor("by", by.sizes ?? [])],
  opsets,
});

const COORDINATES = ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"];
const double = { scales: [1, 1, 2, 2] };
const uneven = { sizes: [1, 2, 5, 3] };

const modes: readonly GradCase[] = COORDINATES.flatMap((coordinate_transformation_mode) =>
  ["nearest", "linear", "cubic"].flatMap((mode) => [
    resize([1, 2, 2, 3], double, { mode, coordinate_transformation_mode }),
    resize([1, 2, 3, 4], uneven, { mode, coordinate_transformation_mode }),
  ]),
);

export const resizeCases: readonly GradCase[] = [
  ...modes,
  ...["floor", "ceil", "round_prefer_ceil"].map((nearest_mode) =>
    resize([1, 2, 3, 4], { scales: [1, 1, 1.7, 0.6] }, { nearest_mode }),
  ),
  resize([3, 4], { scales: [2, 0.5] }, { mode: "linear" }),
  resize([1, 3, 4, 2], { scales: [1, 1.5, 2, 1] }, { mode: "linear" }),
  resize([2, 3, 4], { sizes: [4, 2, 5] }, { mode: "linear" }),
  resize([1, 1, 3, 2, 2], { scales: [1, 1, 2, 2, 3] }, { mode: "linear" }),
  resize([1, 2, 4, 4], uneven, { mode: "cubic", cubic_coeff_a: float(-0.5), exclude_outside: 1 }),
  resize([1, 2, 3, 4], { scales: [2, 1.5] }, { mode: "linear", axes: [2, 3] }, [18, 21]),
  resize([1, 2, 3, 4], { sizes: [5, 2] }, { mode: "nearest", axes: [-1, 2] }, [18, 21]),
  resize([1, 2, 6, 7], { sizes: [1, 2, 3, 3] }, { mode: "linear", antialias: 1 }, [18, 21]),
];
