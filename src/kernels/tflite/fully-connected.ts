/** FULLY_CONNECTED: rows of the input times weights of [out, in]. */
import { fail } from "../../numeric/errors.ts";
import { centered, expectWeighted, finisher, takenByXnnpack, type Weighted } from "./accumulator.ts";
import { type Call, elements, expectRank, inputOf, isQuantized, type Kernel, outputOf, zeroOf } from "./call.ts";
import { roundedOnce } from "./fixed-point.ts";

function expectSizes(call: Call, { input, filter, output }: Weighted): number {
  const [units, depth] = filter.shape as [number, number];
  const rows = input.data.length / depth;
  if (!Number.isInteger(rows) || output.data.length !== rows * units)
    fail(
      "graph",
      `${call.where}: input [${input.shape}], weights [${filter.shape}] and output [${output.shape}] don't go together`,
    );
  return rows;
}

/** A matrix product; sums of 64 bits are rescaled in double precision. */
const ROUNDING = { narrow: roundedOnce, singleScale: true };

/** XNNPACK takes signed weights of fewer bits too, but no zero point of theirs. */
const xnnpackTakes = (operands: Weighted): boolean => {
  const { filter, input } = operands;
  if (filter.dtype === "uint8") return takenByXnnpack(operands);
  const packed = filter.dtype === "int4" && filter.shape[1]! % 2 === 0;
  const same = packed ? { ...operands, filter: { ...filter, dtype: input.dtype } } : operands;
  return zeroOf(filter) === 0 && takenByXnnpack(same);
};

/** FULLY_CONNECTED; zero points of the weights count where there is one. */
export const fullyConnected: Kernel = (call) => {
  if (call.options.text("weights_format", "DEFAULT") !== "DEFAULT")
    fail("unsupported", `${call.where}: shuffled weights are not computed; convert the model without them`);
  const operands = { input: inputOf(call, 0), filter: inputOf(call, 1), bias: call.inputs[2], output: outputOf(call) };
  const { input, filter, output } = operands;
  expectRank(call, filter, 2);
  expectWeighted(call, operands);
  const rows = expectSizes(call, operands);
  const [units, depth] = filter.shape as [number, number];
  const weights = centered(filter, isQuantized(filter) && filter.scale.length === 1 ? zeroOf(filter) : 0);
  const [data, out] = [centered(input), elements(output)];
  const finish = finisher(call, operands, units, ROUNDING, xnnpackTakes(operands));
  for (let row = 0; row < rows; row++)
    for (let unit = 0; unit < units; unit++) {
      let sum = 0;
      for (let i = 0; i < depth; i++) sum += data[row * depth + i]! * weights[unit * depth + i]!;
      out[row * units + unit] = finish(sum, unit);
    }
};
