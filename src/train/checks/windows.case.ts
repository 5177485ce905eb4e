import type { GradCase } from "../gradcheck.case.ts";
import { type Attributes, fixed, of, single } from "./builders.case.ts";

/** The engine convolves in float32 only. */
const conv = (x: readonly number[], w: readonly number[], attributes: Attributes = {}, bias = true): GradCase =>
  single("Conv", { x: of(x), w: fixed(...w), ...(bias && { b: of([w[0]!]) }) }, { attributes, precision: "float32" });

/** The rule needs to know the lengths of `x`. */
const onFixed = (checked: GradCase): GradCase => ({
  ...checked,
  inputs: { ...checked.inputs, x: { ...checked.inputs.x!, fixed: true } },
});

/** With twice as many outputs as inputs the rows of the kernel are convolved apart. */
const widening: readonly GradCase[] = [
  conv([2, 2, 5, 6], [4, 2, 3, 3], { pads: [1, 1, 1, 1] }),
  conv([1, 2, 6, 5], [5, 2, 3, 2], { dilations: [2, 3], pads: [1, 2, 2, 1] }),
  conv([1, 1, 5, 4], [2, 1, 2, 1]),
  conv([2, 2, 9], [4, 2, 4], { pads: [2, 1] }),
  conv([1, 1, 3, 4, 3], [2, 1, 2, 3, 2], { pads: [0, 1, 1, 1, 1, 0] }),
];

/** Kernels that see more than 75 elements: with open lengths their rows are multiplied apart. */
const seeingMuch: readonly GradCase[] = [
  conv([1, 9, 4, 4], [2, 9, 3, 3], { pads: [1, 1, 1, 1] }),
  conv([1, 9, 6, 5], [2, 9, 3, 3], { strides: [2, 1], dilations: [1, 2], pads: [1, 0, 0, 1] }),
  conv([1, 18, 4, 4], [4, 9, 3, 3], { group: 2 }),
  conv([1, 20, 7], [2, 20, 4], { strides: [2], pads: [1, 2] }),
  conv([1, 3, 3, 4, 3], [2, 3, 3, 3, 3], { pads: [0, 1, 1, 1, 1, 0] }),
];

const convs: readonly GradCase[] = [
  conv([2, 3, 5, 5], [4, 3, 3, 3]),
  conv([2, 3, 5, 6], [4, 3, 3, 3], { pads: [1, 1, 1, 1] }, false),
  conv([2, 2, 6, 6], [3, 2, 3, 3], { strides: [2, 2], pads: [1, 1, 1, 1] }),
  conv([1, 2, 7, 6], [3, 2, 3, 3], { strides: [2, 2], pads: [0, 0, 1, 1] }),
  conv([1, 2, 8, 7], [2, 2, 2, 3], { strides: [3, 2], pads: [2, 1, 0, 2] }),
  conv([1, 2, 8, 8], [2, 2, 1, 1], { strides: [2, 2] }),
  conv([1, 2, 9, 8], [2, 2, 3, 2], { dilations: [2, 3], pads: [1, 2, 2, 1] }),
  conv([1, 2, 9, 10], [2, 2, 3, 2], { dilations: [2, 2], strides: [2, 3] }),
  conv([2, 4, 5, 5], [6, 2, 3, 3], { group: 2, pads: [1, 1, 1, 1] }),
  conv([2, 4, 6, 6], [4, 1, 3, 3], { group: 4, strides: [2, 2], pads: [1, 1, 1, 1] }),
  conv([2, 3, 6, 5], [6, 1, 3, 3], { group: 3, pads: [1, 1, 1, 1] }),
  conv([2, 3, 8, 9], [3, 1, 3, 2], { group: 3, strides: [3, 2], dilations: [1, 3], pads: [1, 0, 0, 1] }),
  conv([2, 2, 9], [4, 1, 4], { group: 2, strides: [2], pads: [1, 0] }),
  conv([1, 1, 3, 3], [1, 1, 3, 3], { pads: [3, 3, 3, 3] }),
  conv([2, 3, 9], [4, 3, 4], { strides: [2], pads: [1, 0] }),
  conv([1, 2, 4, 3, 4], [2, 2, 2, 2, 2], { pads: [0, 1, 0, 1, 0, 1] }),
  conv([1, 2, 5, 5], [3, 2, 2, 2], { auto_pad: "VALID" }),
  ...widening,
  ...seeingMuch,
  ...["SAME_UPPER", "SAME_LOWER"].flatMap((auto_pad) => [
    conv([1, 2, 5, 6], [3, 2, 2, 4], { auto_pad }),
    conv([1, 2, 5, 6], [4, 1, 3, 2], { auto_pad, group: 2, strides: [1, 1] }),
    onFixed(conv([1, 2, 7, 6], [3, 2, 3, 4], { auto_pad, strides: [2, 3] })),
    onFixed(conv([2, 2, 6, 5], [2, 1, 2, 5], { auto_pad, strides: [3, 2], group: 2 })),
  ]),
];

/** As Conv; a kernel is [C, M/group, ...]. */
const transposed = (x: readonly number[], w: readonly number[], attributes: Attributes = {}, bias = true): GradCase => {
  const outputs = w[1]! * Number(attributes.group ?? 1);
  const inputs = { x: of(x), w: fixed(...w), ...(bias && { b: of([outputs]) }) };
  return single("ConvTranspose", inputs, { attributes, precision: "float32" });
};

const transposedConvs: readonly GradCase[] = [
  transposed([2, 3, 4, 5], [3, 4, 3, 3]),
  transposed([2, 3, 4, 5], [3, 2, 3, 2], { strides: [2, 3], pads: [1, 0, 0, 1] }, false),
  transposed([1, 2, 4, 3], [2, 3, 3, 3], { strides: [2, 2], pads: [1, 1, 1, 1], output_padding: [1, 1] }),
  transposed([1, 2, 3, 3], [2, 2, 3, 2], { strides: [3, 2], output_padding: [2, 0] }),
  transposed([2, 4, 3, 3], [4, 2, 2, 2], { group: 2, strides: [2, 1] }),
  transposed([2, 3, 4, 4], [3, 1, 3, 3], { group: 3, pads: [1, 1, 1, 1] }),
  transposed([1, 2, 4, 5], [2, 3, 2, 3], { dilations: [2, 3], strides: [1, 2], pads: [1, 2, 0, 1] }),
  transposed([2, 3, 6], [3, 2, 4], { strides: [2], pads: [1, 1] }),
  transposed([1, 2, 3, 2, 3], [2, 1, 2, 2, 2], { strides: [1, 2, 1] }),
  ...["SAME_UPPER", "SAME_LOWER"].flatMap((auto_pad) => [
    transposed([1, 2, 4, 3], [2, 3, 3, 4], { auto_pad, strides: [2, 1] }),
    onFixed(transposed([1, 2, 4, 3], [2, 3, 3, 3], { auto_pad, strides: [2, 2], output_shape: [8, 5] })),
  ]),
  transposed([1, 2, 4, 3], [2, 2, 2, 2], { auto_pad: "VALID", strides: [2, 2] }),
  onFixed(transposed([1, 2, 4, 3], [2, 3, 3, 3], { strides: [2, 2], output_shape: [8, 6] })),
];

const maxPool = (shape: readonly number[], attributes: Attributes): GradCase =>
  single("MaxPool", { x: of(shape, "separate") }, { attributes });

const maxPools: readonly GradCase[] = [
  maxPool([2, 3, 4, 4], { kernel_shape: [2, 2], strides: [2, 2] }),
  maxPool([2, 2, 6, 4], { kernel_shape: [3, 2], strides: [3, 2] }),
  maxPool([2, 3, 5, 4], { kernel_shape: [2, 2], strides: [2, 2] }),
  maxPool([1, 2, 6, 2, 4], { kernel_shape: [2, 1, 4], strides: [2, 1, 4] }),
  maxPool([2, 3, 9], { kernel_shape: [3], strides: [3], ceil_mode: 1 }),
  maxPool([1, 2, 5, 6], { kernel_shape: [3, 3], strides: [1, 2], pads: [1, 1, 1, 1] }),
  maxPool([1, 2, 7, 7], { kernel_shape: [2, 3], strides: [2, 2], ceil_mode: 1 }),
  maxPool([1, 1, 7, 7], { kernel_shape: [2, 2], dilations: [2, 3] }),
  maxPool([2, 2, 9], { kernel_shape: [3], strides: [2] }),
  maxPool([2, 2, 5, 5], { kernel_shape: [3, 3], strides: [2, 2], auto_pad: "SAME_UPPER" }),
  maxPool([2, 1, 6, 5], { kernel_shape: [2, 3], strides: [2, 1], auto_pad: "SAME_LOWER" }),
  maxPool([1, 2, 8, 9], { kernel_shape: [2, 2], dilations: [2, 2], strides: [3, 2], ceil_mode: 1 }),
  maxPool([1, 2, 8, 9], { kernel_shape: [2, 3], dilations: [3, 1], strides: [1, 2], pads: [1, 1, 1, 0] }),
  maxPool([1, 2, 4, 5, 4], { kernel_shape: [2, 2, 2], strides: [2, 2, 1], ceil_mode: 1 }),
  maxPool([1, 2, 9], { kernel_shape: [2], dilations: [3], strides: [2], ceil_mode: 1, pads: [1, 1] }),
];

const averagePool = (shape: readonly number[], attributes: Attributes, opsets = [17, 21]): GradCase =>
  single("AveragePool", { x: of(shape) }, { attributes, precision: "float32", opsets });

const averagePools: readonly GradCase[] = [
  averagePool([2, 3, 4, 4], { kernel_shape: [2, 2], strides: [2, 2] }),
  averagePool([1, 2, 5, 6], { kernel_shape: [3, 3], strides: [1, 2], pads: [1, 1, 1, 1] }),
  averagePool([1, 2, 5, 6], { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 0, 1, 2], count_include_pad: 1 }),
  averagePool([2, 2, 9], { kernel_shape: [4], strides: [3] }),
  averagePool([1, 2, 7, 8], { kernel_shape: [2, 3], dilations: [3, 2], pads: [1, 0, 1, 1] }, [19, 21]),
  averagePool([1, 2, 7, 8], { kernel_shape: [2, 3], strides: [2, 2], ceil_mode: 1 }),
  averagePool([1, 2, 7, 8], { kernel_shape: [3, 3], strides: [3, 2], pads: [1, 1, 0, 1], ceil_mode: 1 }),
  averagePool(
    [1, 2, 6, 9],
    { kernel_shape: [3, 3], strides: [2, 3], pads: [1, 1, 1, 1], ceil_mode: 1, count_include_pad: 1 },
    [19, 21],
  ),
  averagePool([2, 2, 8], { kernel_shape: [2], dilations: [2], strides: [3], ceil_mode: 1 }, [19, 21]),
  averagePool([1, 2, 3, 5], { kernel_shape: [1, 2], strides: [2, 4], pads: [0, 0, 0, 1], ceil_mode: 1 }),
  ...["SAME_UPPER", "SAME_LOWER"].flatMap((auto_pad) => [
    averagePool([1, 2, 5, 6], { kernel_shape: [2, 3], auto_pad }),
    onFixed(averagePool([1, 2, 7, 6], { kernel_shape: [3, 4], strides: [2, 3], auto_pad })),
    onFixed(averagePool([1, 2, 7, 5], { kernel_shape: [3, 2], strides: [2, 2], auto_pad, count_include_pad: 1 })),
  ]),
];

export const windowCases: readonly GradCase[] = [
  ...convs,
  ...transposedConvs,
  ...maxPools,
  ...averagePools,
  ...[
    [2, 3, 4, 5],
    [2, 3, 4],
  ].flatMap((shape) => [
    single("GlobalAveragePool", { x: of(shape) }, { precision: "float32" }),
    single("GlobalMaxPool", { x: of(shape, "separate") }, { precision: "float32" }),
  ]),
];
