import { expect, test } from "vitest";
import { float, node } from "./build.ts";
import { slotNames } from "./dialect.ts";
import { ONNX } from "./onnx-ops.ts";

test("an op nobody wrote a row for has none, whatever its name or domain", () => {
  for (const op of ["constructor", "__proto__", "toString", "", "conv", "Gelu2"])
    expect(ONNX.row({ op, domain: "" })).toBeUndefined();
  expect(ONNX.row({ op: "Conv", domain: "com.example" })).toBeUndefined();
  expect(ONNX.row({ op: "Conv", domain: "__proto__" })).toBeUndefined();
});

test("the output channels of a Gemm weight follow transB", () => {
  const weight = ONNX.row({ op: "Gemm", domain: "" })!.weights[0]!;
  const plain = node("Gemm", ["x", "w"], ["y"]);
  const transposed = node("Gemm", ["x", "w"], ["y"], { attributes: { transB: 1 } });
  expect([weight.axis(plain, 2), weight.reduction(plain, 2)]).toEqual([1, 0]);
  expect([weight.axis(transposed, 2), weight.reduction(transposed, 2)]).toEqual([0, 1]);
});

test("a MatMul weight has its channels last, a vector is one column", () => {
  const weight = ONNX.row({ op: "MatMul", domain: "" })!.weights[0]!;
  const matmul = node("MatMul", ["x", "w"], ["y"]);
  expect([weight.axis(matmul, 3), weight.reduction(matmul, 3)]).toEqual([2, 1]);
  expect([weight.axis(matmul, 1), weight.reduction(matmul, 1)]).toEqual([0, 0]);
});

test("a Gemm with alpha runs in float, one without runs in integers", () => {
  const row = ONNX.row({ op: "Gemm", domain: "" })!;
  expect(row.static(node("Gemm", ["x", "w"], ["y"])).as).toBe("compute");
  expect(row.static(node("Gemm", ["x", "w"], ["y"], { attributes: { alpha: float(0.5) } })).as).toBe("float");
  expect(row.static(node("Gemm", ["x", "w"], ["y"], { attributes: { beta: float(2) } })).as).toBe("compute");
  expect(row.static(node("Gemm", ["x", "w", "b"], ["y"], { attributes: { beta: float(2) } })).as).toBe("float");
});

test("only a nearest Resize runs on codes", () => {
  const row = ONNX.row({ op: "Resize", domain: "" })!;
  expect(row.static(node("Resize", ["x"], ["y"])).as).toBe("same-scale");
  expect(row.static(node("Resize", ["x"], ["y"], { attributes: { mode: "linear" } })).as).toBe("float");
});

test("random ops, training dropout and unknown domains are not deterministic, nor is what contains them", () => {
  const random = node("RandomNormal", [], ["y"]);
  expect(ONNX.deterministic(random)).toBe(false);
  expect(ONNX.deterministic(node("Add", ["a", "b"], ["y"]))).toBe(true);
  expect(ONNX.deterministic(node("Dropout", ["x"], ["y"]))).toBe(true);
  expect(ONNX.deterministic(node("Dropout", ["x", "ratio", "training"], ["y"]))).toBe(false);
  expect(ONNX.deterministic(node("Add", ["a", "b"], ["y"], { domain: "com.example" }))).toBe(false);
  const body = { name: "b", inputs: [], outputs: [], nodes: [random], tensors: new Map(), values: new Map() };
  const branch = node("If", ["c"], ["y"], { attributes: { then_branch: body, else_branch: body } });
  expect(ONNX.deterministic(branch)).toBe(false);
});

test("slots name the values they stand for and skip omitted ones", () => {
  expect(slotNames("all", ["a", "", "b"])).toEqual(["a", "b"]);
  expect(slotNames([1, 5], ["a", "b"])).toEqual(["b"]);
});
