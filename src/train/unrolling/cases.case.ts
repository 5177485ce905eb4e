/** Loops, scans and recurrent layers whose unrolled form is compared with the engine's kernels, and gradient-checked. */
import { ELEMENT_TYPES } from "../../containers/onnx/dtypes.ts";
import { type AttributeInit, graph, intTensor, node, tensor, valueInfo } from "../../ir/build.ts";
import type { Attribute, Graph, Node, Tensor } from "../../ir/model.ts";
import { of } from "../checks/builders.case.ts";
import type { Given, GradCase, Precision } from "../gradcheck.case.ts";
import { unrollLoops } from "./index.ts";

const utf8 = new TextEncoder();
/** Below 1, where what is bent by every step is bent the least. */
const fixed = (...shape: readonly number[]): Given => ({ shape, fixed: true, values: "unit" });
const truth = tensor("true", "bool", [], Uint8Array.of(1));

const unrolled = (op: string, label: string, rest: Omit<GradCase, "op" | "label">): GradCase => ({
  ...{ op, label, prepare: unrollLoops, ...rest },
});

const names = (...list: readonly string[]) => list.map((name) => ({ name }));

/** v' = tanh(v * w), where w is captured; the slices are v' + the number of the iteration. */
const loopBody = (precision: Precision): Graph =>
  graph({
    inputs: [valueInfo("i", "int64", []), valueInfo("go", "bool", []), { name: "v" }],
    outputs: [valueInfo("on", "bool", []), ...names("next", "slice")],
    nodes: [
      node("Identity", ["go"], ["on"]),
      node("Mul", ["v", "w"], ["p"]),
      node("Tanh", ["p"], ["next"]),
      node("Cast", ["i"], ["number"], { attributes: { to: ELEMENT_TYPES[precision].code } }),
      node("Add", ["next", "number"], ["slice"]),
    ],
  });

const loop = (count: string, body: Graph, outputs: readonly string[], inputs: readonly string[], go = ""): Node =>
  node("Loop", [count, go, ...inputs], outputs, { attributes: { body } });

/** The state and the slices both reach the output. */
const ends = [node("Sum", ["last", "all"], ["y"])];
const countTensor = (count: number): Tensor => intTensor("n", [count], []);

/** Runs once for each row of x, as often as its shape says. */
const byShape = (precision: Precision) => [
  node("Shape", ["x"], ["shape"]),
  node("Gather", ["shape", "zero"], ["n"]),
  loop("n", loopBody(precision), ["last", "all"], ["x"]),
  ...ends,
];

/** A loop of two iterations in each of three. */
const nestedBody = (precision: Precision): Graph =>
  graph({
    inputs: [valueInfo("j", "int64", []), valueInfo("keep", "bool", []), { name: "u" }],
    outputs: [valueInfo("kept", "bool", []), ...names("u2")],
    nodes: [
      node("Identity", ["keep"], ["kept"]),
      loop("two", loopBody(precision), ["inner", "slices"], ["u"]),
      node("ReduceSum", ["slices", "axis"], ["total"], { attributes: { keepdims: 0 } }),
      node("Add", ["inner", "total"], ["u2"]),
    ],
    tensors: [intTensor("two", [2], []), intTensor("axis", [0])],
  });

const loops: readonly GradCase[] = [
  ...[1, 3].map((count) =>
    unrolled("Loop", `${count} iterations`, {
      inputs: { x: of([2, 3], "unit"), w: of([3], "unit") },
      tensors: () => [countTensor(count), truth],
      nodes: (precision) => [loop("n", loopBody(precision), ["last", "all"], ["x"], "true"), ...ends],
    }),
  ),
  unrolled("Loop", "as many as x has rows", {
    inputs: { x: fixed(4, 3), w: of([3], "unit") },
    tensors: () => [intTensor("zero", [0], [])],
    nodes: byShape,
  }),
  unrolled("Loop", "a loop in a loop", {
    inputs: { x: of([2, 3], "unit"), w: of([3], "unit") },
    tensors: () => [countTensor(3)],
    nodes: (precision) => [loop("n", nestedBody(precision), ["y"], ["x"])],
  }),
];

/** h' = tanh(h + x), with h' * x as a slice. */
const scanBody = graph({
  inputs: names("h", "s"),
  outputs: names("h2", "slice"),
  nodes: [node("Add", ["h", "s"], ["a"]), node("Tanh", ["a"], ["h2"]), node("Mul", ["h2", "s"], ["slice"])],
});

const scan = (label: string, shape: readonly number[], attributes: Readonly<Record<string, AttributeInit>>): GradCase =>
  unrolled("Scan", label, {
    inputs: { h: fixed(2), x: fixed(...shape) },
    nodes: () => [
      node("Scan", ["h", "x"], ["last", "slices"], {
        attributes: { body: scanBody, num_scan_inputs: 1, ...attributes },
      }),
      node("Unsqueeze", ["last", "axis"], ["row"]),
      node("Mul", ["slices", "row"], ["y"]),
    ],
    tensors: () => [intTensor("axis", [attributes.scan_output_axes ? 1 : 0])],
  });

const scans: readonly GradCase[] = [
  scan("along the first axis", [4, 2], {}),
  scan("from the back", [4, 2], { scan_input_directions: [1] }),
  scan("along the second axis", [2, 3], { scan_input_axes: [-1] }),
  scan("slices in reverse order on the second axis", [3, 2], { scan_output_axes: [1], scan_output_directions: [1] }),
];

const GATES: Readonly<Record<string, number>> = { RNN: 1, GRU: 3, LSTM: 4 };
const strings = (...list: readonly string[]): Attribute => ({
  type: "strings",
  value: list.map((name) => utf8.encode(name)),
});

interface Recurrent {
  readonly direction?: string;
  readonly attributes?: Readonly<Record<string, AttributeInit>>;
  /** Biases, states to start from, peepholes. */
  readonly more?: boolean;
}

/** 3 steps, 2 samples, 2 inputs, 3 hidden values; all outputs reach y. */
function recurrent(op: string, { direction = "forward", attributes = {}, more = false }: Recurrent): GradCase {
  const [directions, gates] = [direction === "bidirectional" ? 2 : 1, GATES[op]!];
  const plain = { x: fixed(3, 2, 2), w: fixed(directions, gates * 3, 2), r: fixed(directions, gates * 3, 3) };
  const bias = { b: fixed(directions, gates * 6), h: fixed(directions, 2, 3) };
  const cell = { c: fixed(directions, 2, 3), p: fixed(directions, 9) };
  const inputs = { ...plain, ...(more && bias), ...(more && op === "LSTM" && cell) };
  const read = ["x", "w", "r", ...(more ? ["b", "", "h", ...(op === "LSTM" ? ["c", "p"] : [])] : [])];
  const outputs = ["all", "last", ...(op === "LSTM" ? ["memory"] : [])];
  return unrolled(op, `${direction} ${Object.keys(attributes)} ${more ? "all inputs" : ""}`, {
    inputs,
    precision: "float32",
    nodes: () => [
      node(op, read, outputs, { attributes: { hidden_size: 3, direction, ...attributes } }),
      node("Sum", outputs, ["y"]),
    ],
  });
}

const recurrents: readonly GradCase[] = Object.keys(GATES).flatMap((op) => [
  recurrent(op, {}),
  recurrent(op, { direction: "reverse", more: true }),
  recurrent(op, { direction: "bidirectional", more: true }),
]);

export const UNROLLED: readonly GradCase[] = [
  ...[...loops, ...scans, ...recurrents],
  recurrent("GRU", { attributes: { linear_before_reset: 1 }, more: true }),
  recurrent("RNN", { attributes: { activations: strings("Sigmoid") } }),
  recurrent("LSTM", { attributes: { activations: strings("Sigmoid", "Softsign", "Tanh") } }),
];
