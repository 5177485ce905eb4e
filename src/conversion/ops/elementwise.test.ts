import { expect, test } from "vitest";
import { float } from "../../ir/build.ts";
import { expectConverted, f, of, opModel, scalar, w } from "../op.case.ts";
import { elementwiseRows } from "./elementwise.ts";

const positive = { feed: Math.abs };
const UNARY: Readonly<Record<string, object>> = {
  EXP: {},
  LOG: positive,
  SQRT: positive,
  RSQRT: { feed: (value: number) => Math.abs(value) + 0.1 },
  SQUARE: {},
  ABS: {},
  NEG: {},
  FLOOR: {},
  CEIL: {},
  ROUND: { feed: (value: number) => Math.round(4 * value) / 2 },
  SIN: {},
  COS: {},
  SIGN: {},
  RELU: {},
  RELU6: { feed: (value: number) => 6 * value },
  RELU_N1_TO_1: {},
  RELU_0_TO_1: {},
  ELU: {},
  LOGISTIC: {},
  TANH: {},
  HARD_SWISH: { feed: (value: number) => 3 * value },
  LOG_SOFTMAX: {},
};

test.each(Object.entries(UNARY))("%s", async (op, check) => {
  await expectConverted(opModel(op, [f(1, 3, 5)], [f(1, 3, 5)]), check);
});

test.each([
  ["LEAKY_RELU", { alpha: float(0.2) }],
  ["GELU", { approximate: 0 }],
  ["GELU", { approximate: 1 }],
  ["SOFTMAX", { beta: float(1) }],
  ["SOFTMAX", { beta: float(0.5) }],
])("%s with %j", async (op, attributes) => {
  await expectConverted(opModel(op, [f(1, 3, 5)], [f(1, 3, 5)], attributes), { tolerance: 1e-5 });
});

test("L2_NORMALIZATION also of zeros", async () => {
  const model = opModel("L2_NORMALIZATION", [f(1, 3, 5)], [f(1, 3, 5)], { fused_activation_function: "NONE" });
  await expectConverted(model);
  await expectConverted(model, { feed: () => 0 });
});

const BINARY = ["ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE"];
test.each(BINARY)("%s of two values, of a value and a constant that broadcasts", async (op) => {
  await expectConverted(opModel(op, [f(1, 3, 4), f(1, 3, 4)], [f(1, 3, 4)]));
  await expectConverted(opModel(op, [f(1, 3, 4), w(4)], [f(1, 3, 4)]));
  await expectConverted(opModel(op, [w(3, 1), f(1, 3, 4)], [f(1, 3, 4)]));
  await expectConverted(opModel(op, [f(1, 3, 4), scalar(2)], [f(1, 3, 4)]));
});

test("POW", async () => {
  await expectConverted(opModel("POW", [f(1, 3, 4), scalar(2)], [f(1, 3, 4)]), { ...positive, tolerance: 1e-5 });
});

test("an activation behind an ADD", async () => {
  await expectConverted(opModel("ADD", [f(1, 4), w(4)], [f(1, 4)], { fused_activation_function: "RELU6" }));
});

test("a constant for two samples keeps the batch as it is", async () => {
  await expectConverted(opModel("ADD", [f(1, 3), w(2, 3)], [f(2, 3)]), { open: false });
});

test("PRELU", async () => {
  await expectConverted(opModel("PRELU", [f(1, 3, 2, 4), w(1, 1, 4)], [f(1, 3, 2, 4)]));
});

test.each(["EQUAL", "NOT_EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL"])("%s", async (op) => {
  const whole = { feed: Math.round };
  await expectConverted(opModel(op, [f(1, 3, 4), f(1, 3, 4)], [of("bool", 1, 3, 4)]), whole);
});

test("truth values and choices", async () => {
  const flags = of("bool", 1, 3, 4);
  await expectConverted(opModel("LOGICAL_AND", [flags, flags], [flags]));
  await expectConverted(opModel("LOGICAL_OR", [flags, flags], [flags]));
  await expectConverted(opModel("LOGICAL_NOT", [flags], [flags]));
  await expectConverted(opModel("SELECT", [flags, f(1, 3, 4), f(1, 3, 4)], [f(1, 3, 4)]));
  await expectConverted(opModel("SELECT_V2", [flags, f(1, 3, 4), scalar(7)], [f(1, 3, 4)]));
});

test("CAST between numbers", async () => {
  await expectConverted(opModel("CAST", [f(1, 6)], [of("int32", 1, 6)]), { feed: (value) => 10 * value });
  await expectConverted(opModel("CAST", [of("int32", 1, 6)], [f(1, 6)]));
  await expectConverted(opModel("CAST", [of("bool", 1, 6)], [f(1, 6)]));
});

test("ADD_N", async () => {
  await expectConverted(opModel("ADD_N", [f(1, 4), f(1, 4), f(1, 4)], [f(1, 4)]));
});

test("every row was run above", () => {
  const others =
    "LEAKY_RELU GELU SOFTMAX L2_NORMALIZATION POW PRELU LOGICAL_AND LOGICAL_OR LOGICAL_NOT SELECT SELECT_V2 CAST ADD_N";
  const comparisons = "EQUAL NOT_EQUAL GREATER GREATER_EQUAL LESS LESS_EQUAL";
  const tested = new Set([...Object.keys(UNARY), ...BINARY, ...others.split(" "), ...comparisons.split(" ")]);
  expect(Object.keys(elementwiseRows).filter((op) => !tested.has(op))).toEqual([]);
});
