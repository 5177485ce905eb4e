import { expect, test } from "vitest";
import type { Plan } from "../../ir/plan.ts";
import { judge, type Measured } from "./findings.ts";

const SCHEME = { dtype: "int8", symmetric: true, granularity: { per: "tensor" }, codes: [-8, 7] } as const;

/** A static plan with symmetric activations of 4 bits, half of whose ops run in integers. */
const measured = (engine: string): Measured => ({
  ...{ size: { before: 2, after: 1, ratio: 2 }, outputs: [], metrics: {}, layers: [], broken: [], random: false },
  ...{ integerShare: 0.5, engine },
  plan: {
    scheme: "w4a4",
    values: [{ scope: "", value: "x", scheme: SCHEME, observer: "mse" }],
    nodes: [],
  } as unknown as Plan,
});

const words = (engine: string): string =>
  judge(measured(engine))
    .map(({ message, remedy }) => `${message} ${remedy}`)
    .join();

test("ONNX Runtime's kernels are the reason where ONNX Runtime runs the model", () => {
  expect(words("ort-node")).toMatch(
    /50\.0 % of the heavy ops run in integers after the engine's own optimization.*ONNX/,
  );
  expect(words("ort-web")).toMatch(/4-bit activations are uint8 codes limited by Clip/);
});

test("and are not spoken of where another engine does", () => {
  expect(words("litert")).toMatch(/50\.0 % of the heavy ops run in integers the list of kept nodes says why/);
  expect(words("litert")).not.toMatch(/ONNX|Clip|optimization/);
});
