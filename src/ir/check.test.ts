import { expect, test } from "vitest";
import type { FewbitError } from "../numeric/errors.ts";
import { float, floatTensor, type GraphInit, graph, node, onnxModel, valueInfo } from "./build.ts";
import { assertLegal, checkModel } from "./check.ts";
import { findCycle } from "./cycle.ts";
import type { Graph, Node } from "./model.ts";
import { bytesSource } from "./source.ts";

const x = valueInfo("x", "float32", [2]);
const y = valueInfo("y", "float32", [2]);
const w = floatTensor("w", [2], [1, 2]);
const check = (init: GraphInit, options = {}) => checkModel(onnxModel(init, options));
const relu = (input: string, output: string, name = ""): Node => node("Relu", [input], [output], { name });
const If = (then: Graph, otherwise: Graph, output: string): Node =>
  node("If", ["c"], [output], { name: "choice", attributes: { then_branch: then, else_branch: otherwise } });

test("a model whose names, order, sizes and operator sets fit is legal", () => {
  const model = onnxModel({ inputs: [x], outputs: [y], nodes: [node("Add", ["x", "w"], ["y"])], tensors: [w] });
  expect(checkModel(model)).toEqual([]);
  expect(assertLegal(model)).toBe(model);
});

test("an initializer may be the default of an input, and nodes may share a name or have none", () => {
  const nodes = [relu("x", "a", "same"), relu("a", "b", "same"), node("Add", ["b", "w"], ["y"])];
  expect(check({ inputs: [x, valueInfo("w", "float32", [2])], outputs: [y], nodes, tensors: [w] })).toEqual([]);
});

test("two values of one name are reported with the node that makes the second", () => {
  const nodes = [relu("x", "a", "first"), relu("x", "a", "second"), relu("a", "y")];
  expect(check({ inputs: [x], outputs: [y], nodes })).toEqual([
    'node "second" (Relu) makes "a", which exists already; every value needs its own name',
  ]);
});

test("a value that a node makes may not have the name of an input or initializer", () => {
  expect(check({ inputs: [x], outputs: [x], nodes: [relu("x", "x")] })[0]).toContain("exists already");
  expect(check({ inputs: [x], outputs: [y], nodes: [relu("x", "w"), relu("w", "y")], tensors: [w] })[0]).toContain(
    '"w"',
  );
});

test("a value nobody makes is reported with its reader, and a missing output too", () => {
  expect(check({ inputs: [x], outputs: [y], nodes: [node("Add", ["x", "lost"], ["z"], { name: "sum" })] })).toEqual([
    'node "sum" (Add) reads "lost", which no input, constant or node makes; correct the name or add it',
    'graph "graph" gives "y", which no input, constant or node makes; correct the name or add it',
  ]);
});

test("nodes in the wrong order are told apart from a cycle", () => {
  expect(check({ inputs: [x], outputs: [y], nodes: [relu("a", "y", "late"), relu("x", "a", "early")] })).toEqual([
    'graph "graph": node "late" (Relu) reads "a" before it is made; put the nodes in topological order',
  ]);
});

test("a cycle is reported once, naming its nodes in the order data flows", () => {
  const nodes = [
    relu("x", "start", "s"),
    node("Add", ["start", "c"], ["a"], { name: "A" }),
    relu("a", "b", "B"),
    relu("b", "c", "C"),
    relu("c", "y", "out"),
  ];
  const found = check({ inputs: [x], outputs: [y], nodes });
  expect(found).toHaveLength(1);
  expect(found[0]).toMatch(/in a cycle: ("A" -> "B" -> "C" -> "A"|"B" -> "C" -> "A" -> "B"|"C" -> "A" -> "B" -> "C")/);
});

test("a node that reads its own output is a cycle of one", () => {
  expect(check({ inputs: [x], outputs: [y], nodes: [node("Add", ["x", "y"], ["y"], { name: "self" })] })[0]).toContain(
    'cycle: "self" -> "self"',
  );
});

test("a chain of 50,000 nodes in reverse order neither overflows the stack nor takes long", () => {
  const nodes = Array.from({ length: 50_000 }, (_, i) => relu(`v${i + 1}`, `v${i}`));
  const long = graph({ inputs: [valueInfo("v50000")], outputs: [valueInfo("v0")], nodes });
  expect(findCycle(long)).toBeUndefined();
  const complaints = checkModel(onnxModel(long));
  expect(complaints).toHaveLength(51);
  expect(complaints[50]).toContain("49949 more");
});

test("branches see the values around them and may reuse each other's names, but not those around them", () => {
  const branch = (inner: string, output: string): Graph =>
    graph({ inputs: [], outputs: [valueInfo(output)], nodes: [relu("x", inner), relu(inner, output)] });
  const c = valueInfo("c", "bool", []);
  const legal = [If(branch("t", "r"), branch("t", "r"), "y")];
  expect(check({ inputs: [x, c], outputs: [y], nodes: legal })).toEqual([]);
  const clash = [relu("x", "t"), If(branch("t", "r"), branch("u", "r"), "y")];
  expect(check({ inputs: [x, c], outputs: [y], nodes: clash })[0]).toContain('makes "t", which exists already');
});

test("a branch that reads an outer value made later is out of order; one made from itself is a cycle", () => {
  const branch = (input: string): Graph =>
    graph({ inputs: [], outputs: [valueInfo("r")], nodes: [relu(input, "r", "inner")] });
  const c = valueInfo("c", "bool", []);
  const late = [If(branch("later"), branch("x"), "y"), relu("x", "later")];
  expect(check({ inputs: [x, c], outputs: [y], nodes: late })).toEqual([
    'graph "graph": node "inner" (Relu) reads "later" before it is made; put the nodes in topological order',
  ]);
  const cycle = [If(branch("y"), branch("x"), "y")];
  expect(check({ inputs: [x, c], outputs: [y], nodes: cycle })[0]).toContain('cycle: "choice" -> "choice"');
});

test("every operator set in use must be imported, in functions by the function", () => {
  const custom = node("Fancy", ["x"], ["y"], { domain: "com.example" });
  expect(check({ inputs: [x], outputs: [y], nodes: [custom] })).toEqual([
    'node "y" (Fancy) is of operator set "com.example", which is not imported; import it with its version',
  ]);
  const opsets = { "": 17, "com.example": 1 };
  const body = { name: "Fancy", domain: "com.example", inputs: ["a"], outputs: ["b"], nodes: [relu("a", "b")] };
  const main = { inputs: [x], outputs: [y], nodes: [custom] };
  expect(check(main, { opsets, functions: [{ ...body, opsets: { "": 17 } }] })).toEqual([]);
  expect(check(main, { opsets, functions: [{ ...body, opsets: {} }] })[0]).toContain('operator set "ai.onnx"');
  expect(check(main, { opsets, functions: [{ ...body, opsets: { "": 17 }, outputs: ["q"] }] })[0]).toContain(
    'gives "q"',
  );
});

test("names from the prototype of objects are no imported operator sets", () => {
  const odd = node("Relu", ["x"], ["y"], { domain: "constructor" });
  expect(check({ inputs: [x], outputs: [y], nodes: [odd] })[0]).toContain('"constructor"');
});

test.each([
  [{ ...w, shape: [3] }, '"w" has 8 bytes, but float32[3] needs 12'],
  [{ ...w, shape: [-1] }, "dimension of -1"],
  [{ ...w, shape: [1.5] }, "dimension of 1.5"],
  [{ ...w, shape: [2 ** 30, 2 ** 30] }, "overflows"],
  [{ ...w, dtype: "string" as const, data: bytesSource(new Uint8Array(0)) }, "0 strings"],
])("a tensor whose data does not fit its shape is reported: %#", (bad, complaint) => {
  const nodes = [node("Add", ["x", "w"], ["y"])];
  expect(check({ inputs: [x], outputs: [y], nodes, tensors: [bad] })[0]).toContain(complaint);
  const constant = [node("Constant", [], ["k"], { attributes: { value: bad } }), node("Add", ["x", "k"], ["y"])];
  expect(check({ inputs: [x], outputs: [y], nodes: constant })[0]).toContain(complaint);
});

test("assertLegal throws one error of code graph with all complaints", () => {
  const bad = onnxModel({ inputs: [x, x], outputs: [y], nodes: [] });
  try {
    assertLegal(bad);
    expect.unreachable();
  } catch (error) {
    expect((error as FewbitError).code).toBe("graph");
    expect((error as FewbitError).message).toContain('input "x" is there twice');
    expect((error as FewbitError).message).toContain('gives "y"');
  }
});

test("attributes of other kinds don't disturb", () => {
  const nodes = [node("LeakyRelu", ["x"], ["y"], { attributes: { alpha: float(1) } })];
  expect(check({ inputs: [x], outputs: [y], nodes })).toEqual([]);
});
