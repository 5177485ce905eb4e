import { expect, test } from "vitest";
import { floatTensor, node, onnxModel, valueInfo } from "../ir/build.ts";
import type { Model } from "../ir/model.ts";
import { normalsOf } from "../ir/networks.case.ts";
import { applied, context } from "./same-outputs.case.ts";
import { zeroStates } from "./zero-states.ts";

const normal = normalsOf(3);
const GATES = { RNN: 1, GRU: 3, LSTM: 4 } as const;

const recurrent = (op: keyof typeof GATES, states: readonly (readonly number[])[]): Model =>
  onnxModel({
    inputs: [valueInfo("x", "float32", [5, 1, 3])],
    outputs: [valueInfo("y", "float32")],
    nodes: [
      node(op, ["x", "w", "r", "", "", ...states.map((_, at) => `s${at}`)], ["y"], { attributes: { hidden_size: 2 } }),
    ],
    tensors: [
      floatTensor("w", [1, 2 * GATES[op], 3], normal([2 * GATES[op], 3])),
      floatTensor("r", [1, 2 * GATES[op], 2], normal([2 * GATES[op], 2])),
      ...states.map((values, at) => floatTensor(`s${at}`, [1, 1, 2], values)),
    ],
  });

const statesOf = ({ graph }: Model) => graph.nodes[0]!.inputs.slice(5);

test.each([
  ["RNN", [[0, 0]], [""]],
  ["GRU", [[0, 0]], [""]],
  [
    "LSTM",
    [
      [0, 0],
      [0, 0],
    ],
    ["", ""],
  ],
  [
    "LSTM",
    [
      [0, 0],
      [0, 0.5],
    ],
    ["", "s1"],
  ],
] as const)("zeros are left out and others stay: %s %j", async (op, states, left) => {
  expect(statesOf(await applied(zeroStates, recurrent(op, states)))).toEqual(left);
});

test("a state that is not zero changes nothing", async () => {
  const model = recurrent("GRU", [[0, 1]]);
  expect(await zeroStates.apply(model, context)).toBe(model);
});
