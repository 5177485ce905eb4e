/** RNN, GRU and LSTM (ONNX operators of these names) as the gates of every step, where the length of the sequence is known. */
import { intAttribute, stringAttribute } from "../../ir/attributes.ts";
import type { Attribute, Node } from "../../ir/model.ts";
import type { Writer } from "../writer.ts";
import { slicesOf } from "./loops.ts";

/** What one direction of one step is computed with; values are [batch, hidden] unless told. */
interface Cell {
  readonly writer: Writer;
  readonly node: Node;
  readonly hidden: number;
  /** x W' + biases of this step, [batch, gates * hidden]. */
  readonly input: string;
  /** Transposed recurrent weights, [hidden, gates * hidden]. */
  readonly recurrent: string;
  /** Biases of the recurrent product, [gates * hidden], where an op keeps them apart. */
  readonly bias: string | undefined;
  readonly peepholes: string | undefined;
  readonly activation: (index: number, value: string) => string;
}

/** The state of a direction: the hidden one, and what an LSTM remembers. */
type State = readonly string[];

type Step = (cell: Cell, state: State) => State;

const plus = ({ emit }: Writer, a: string, b: string): string => emit("Add", [a, b]);
const times = ({ emit }: Writer, a: string, b: string): string => emit("Mul", [a, b]);

/** Equal parts of the last axis. */
const gates = ({ writer, hidden }: Cell, value: string, count: number): readonly string[] =>
  writer.emitMany("Split", [value, writer.ints(Array(count).fill(hidden))], count, { axis: -1 });

const rnn: Step = ({ writer, input, recurrent, activation }, [h = ""]) => [
  activation(0, plus(writer, input, writer.emit("MatMul", [h, recurrent]))),
];

/** Hochreiter and Schmidhuber, with peepholes where they are given; gates come as input, output, forget, cell. */
const lstm: Step = (cell, [h = "", c = ""]) => {
  const { writer, input, recurrent, activation, peepholes } = cell;
  const all = plus(writer, input, writer.emit("MatMul", [h, recurrent]));
  const [i = "", o = "", f = "", g = ""] = gates(cell, all, 4);
  const [pi, po, pf] = peepholes === undefined ? [] : gates(cell, peepholes, 3);
  const look = (gate: string, weight: string | undefined, state: string) =>
    weight === undefined ? gate : plus(writer, gate, times(writer, weight, state));
  const kept = times(writer, activation(0, look(f, pf, c)), c);
  const next = plus(writer, kept, times(writer, activation(0, look(i, pi, c)), activation(1, g)));
  return [times(writer, activation(0, look(o, po, next)), activation(2, next)), next];
};

/** Cho et al., arXiv:1406.1078; gates come as update, reset, hidden. */
const gru: Step = (cell, [h = ""]) => {
  const { writer, node, input, recurrent, bias, activation } = cell;
  const { emit } = writer;
  const [xz = "", xr = "", xh = ""] = gates(cell, input, 3);
  const [wz = "", wr = "", wh = ""] = gates(cell, recurrent, 3);
  const [bz, br, bh] = bias === undefined ? [] : gates(cell, bias, 3);
  const product = (x: string, w: string, b: string | undefined) => {
    const plain = emit("MatMul", [x, w]);
    return b === undefined ? plain : plus(writer, plain, b);
  };
  const z = activation(0, plus(writer, xz, product(h, wz, bz)));
  const r = activation(0, plus(writer, xr, product(h, wr, br)));
  const after = intAttribute(node, "linear_before_reset", 0) !== 0;
  const inner = after ? times(writer, r, product(h, wh, bh)) : product(times(writer, r, h), wh, bh);
  const next = activation(1, plus(writer, xh, inner));
  return [plus(writer, next, times(writer, z, emit("Sub", [h, next])))];
};

interface Kind {
  readonly gates: number;
  readonly step: Step;
  /** Activations by default. */
  readonly activations: readonly string[];
  /** Inputs with the state to start from. */
  readonly initial: readonly number[];
}

const KINDS: Readonly<Record<string, Kind>> = {
  RNN: { gates: 1, step: rnn, activations: ["Tanh"], initial: [5] },
  GRU: { gates: 3, step: gru, activations: ["Sigmoid", "Tanh"], initial: [5] },
  LSTM: { gates: 4, step: lstm, activations: ["Sigmoid", "Tanh", "Tanh"], initial: [5, 6] },
};

/** Activations without numbers of their own. */
const PLAIN = new Set(["Relu", "Tanh", "Sigmoid", "Softsign", "Softplus"]);

const utf8 = new TextDecoder();

/** Names of the activations of all directions; undefined where one of them needs numbers. */
function activationsOf(node: Node, kind: Kind, directions: number): readonly string[] | undefined {
  const found: Attribute | undefined = node.attributes.activations;
  const list = found?.type === "strings" ? found.value.map((bytes) => utf8.decode(bytes)) : undefined;
  const names = list ?? Array.from({ length: directions }, () => kind.activations).flat();
  return names.every((name) => PLAIN.has(name)) ? names : undefined;
}

/** Attributes that change what the gates compute, or where the batch is, in ways that have no form here. */
const isPlain = (node: Node): boolean =>
  node.attributes.clip === undefined && ["input_forget", "layout"].every((name) => intAttribute(node, name, 0) === 0);

const given = (node: Node, index: number): string | undefined => node.inputs[index] || undefined;

/** The weights of one direction, transposed, and its biases; an op that adds both biases gets them with the input. */
function directionOf(
  node: Node,
  writer: Writer,
  x: string,
  at: number,
  count: number,
  kind: Kind,
  names: readonly string[],
) {
  const { emit, ints } = writer;
  const pick = (index: number) => {
    const value = given(node, index);
    return value === undefined ? undefined : slicesOf(writer, value, count, 0)[at]!;
  };
  const turned = (value: string) => emit("Transpose", [value], { perm: [1, 0] });
  const hidden = writer.dims(node.inputs[2]!)?.[2] as number;
  const [both, size] = [pick(3), kind.gates * hidden];
  const [wb, rb] = both === undefined ? [] : writer.emitMany("Split", [both, ints([size, size])], 2, { axis: 0 });
  const product = emit("MatMul", [x, turned(pick(1)!)]);
  const apart = kind === KINDS.GRU;
  const biased = wb === undefined ? product : plus(writer, product, wb);
  const activation = (index: number, value: string) => emit(names[at * kind.activations.length + index]!, [value]);
  return {
    cell: {
      ...{ writer, node, hidden, activation },
      recurrent: turned(pick(2)!),
      bias: apart ? rb : undefined,
      peepholes: pick(7),
    },
    whole: apart || rb === undefined ? biased : plus(writer, biased, rb),
    start: kind.initial.map((index) => pick(index) ?? zeros(writer, x, hidden)),
  };
}

/** [batch, hidden] for x of [length, batch, inputs]. */
function zeros(writer: Writer, x: string, hidden: number): string {
  const { emit, ints } = writer;
  const batch = emit("Slice", [emit("Shape", [x]), ints([1]), ints([2])]);
  const shape = emit("Concat", [batch, ints([hidden])], { axis: 0 });
  return emit("Expand", [writer.scalar(0, writer.dtype(x)), shape]);
}

/** Hidden states of all steps in the order of the sequence, and the last state. */
function run(direction: ReturnType<typeof directionOf>, count: number, reverse: boolean, step: Step) {
  const { cell, whole, start } = direction;
  const inputs = slicesOf(cell.writer, whole, count, 0);
  let state: State = start;
  const seen: string[] = [];
  for (const input of reverse ? inputs.toReversed() : inputs) {
    state = step({ ...cell, input }, state);
    seen.push(state[0]!);
  }
  return { seen: reverse ? seen.toReversed() : seen, last: state };
}

/** Values of directions (or steps) behind each other on a new axis. */
function stack({ emit, ints }: Writer, values: readonly string[], axis: number): string {
  const slices = values.map((value) => emit("Unsqueeze", [value, ints([axis])]));
  return slices.length === 1 ? slices[0]! : emit("Concat", slices, { axis });
}

/**
 * Values of the outputs of RNN, GRU or LSTM; undefined where the length of the sequence is open, where samples have lengths of
 * their own, or where clipping, a batch on the first axis or an activation with numbers has no form here. `afford` is asked with the number of steps.
 */
export function unrollRecurrent(node: Node, writer: Writer, afford: (steps: number) => boolean) {
  const kind = Object.hasOwn(KINDS, node.op) ? KINDS[node.op] : undefined;
  const direction = stringAttribute(node, "direction", "forward");
  const directions = direction === "bidirectional" ? 2 : 1;
  const names = kind && activationsOf(node, kind, directions);
  const [x = "", , recurrent = ""] = node.inputs;
  const [count, hidden] = [writer.dims(x)?.[0], writer.dims(recurrent)?.[2]];
  if (kind === undefined || names === undefined || !isPlain(node) || given(node, 4) !== undefined) return undefined;
  if (typeof count !== "number" || typeof hidden !== "number" || count < 1 || !afford(count * directions))
    return undefined;
  const runs = Array.from({ length: directions }, (_, at) => {
    const reverse = direction === "reverse" || at === 1;
    return run(directionOf(node, writer, x, at, directions, kind, names), count, reverse, kind.step);
  });
  const steps = Array.from({ length: count }, (_, index) =>
    stack(
      writer,
      runs.map(({ seen }) => seen[index]!),
      0,
    ),
  );
  const last = kind.initial.map((_, index) =>
    stack(
      writer,
      runs.map((each) => each.last[index]!),
      0,
    ),
  );
  return [stack(writer, steps, 0), ...last];
}
