/** Checks of activation functions and elementary functions. The engine has most of them in float32 only. */
import { float } from "../../ir/build.ts";
import type { GradCase, Values } from "../gradcheck.case.ts";
import { type Attributes, of, single } from "./builders.case.ts";
import { unary } from "./elementwise.case.ts";

const narrow = (op: string, values: Values = "separate", attributes: Attributes = {}, opsets = [16, 17, 21]) =>
  unary(op, values, { precision: "float32", attributes, opsets });

const pRelu: readonly GradCase[] = [[3, 4], [4], [3, 1], [1], []].map((slope) =>
  single("PRelu", { x: of([3, 4], "separate"), slope: of(slope) }, { precision: "float32", opsets: [16, 21] }),
);

export const activationCases: readonly GradCase[] = [
  ...["HardSigmoid", "HardSwish", "LeakyRelu", "Elu", "Selu", "Celu", "ThresholdedRelu", "Softplus"].flatMap((op) =>
    narrow(op),
  ),
  ...narrow("HardSigmoid", "separate", { alpha: 0.4, beta: 0.3 }),
  ...["LeakyRelu", "Elu", "Celu", "ThresholdedRelu"].flatMap((op) => narrow(op, "separate", { alpha: 0.4 })),
  ...narrow("Selu", "separate", { alpha: 1.5, gamma: float(2) }),
  ...narrow("Softsign"),
  ...narrow("Mish", "separate", {}, [18, 21]),
  ...[{}, { alpha: 1.7 }].flatMap((attributes) => narrow("Swish", "separate", attributes, [24])),
  ...narrow("Shrink"),
  ...narrow("Shrink", "separate", { bias: 0.3, lambd: 0.8 }),
  ...pRelu,
  ...unary("Abs", "separate"),
  ...unary("Reciprocal", "large"),
  ...["Sin", "Cos"].flatMap((op) => unary(op)),
  ...["Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh", "Asinh", "Atanh"].flatMap((op) => narrow(op, "unit")),
  ...narrow("Acosh", "large"),
];
