/**
 * Max pooling whose windows lie side by side and cover everything, as maxima of the places of a window: each element is in
 * one window, so the gradient is sorted out instead of added up. On the CPU three times as fast as with the positions the
 * engine finds, which it does not vectorize, and the maxima of the way there serve the way back.
 */
import { intsAttribute } from "../ir/attributes.ts";
import { consumers, producers } from "../ir/edit.ts";
import type { Graph, Node } from "../ir/model.ts";
import { dependents } from "./backward.ts";
import { type Phased, phasedConv, phases } from "./phased-conv.ts";
import { windowsOf } from "./rules/windows.ts";
import { fixedShape } from "./shapes/lengths.ts";
import { add, append, startWriting, type Writer, type Writing, writerFor, written } from "./writer.ts";

/** Each element along an axis of a window costs a few nodes. */
const MAX_LENGTH = 64;

/** Shape of a value that is cut, but for its samples: channels, then positions. */
type Lengths = readonly number[];

/** A pool that is written as maxima: its kernel, the shape of what it pools, and the convolution it takes along. */
interface Tiled {
  readonly kernel: Lengths;
  readonly shape: Lengths;
  readonly conv?: Phased;
}

/** One axis cut into windows of `size`; `axis` counts the samples as axis 0. */
interface Cut {
  readonly shape: Lengths;
  readonly axis: number;
  readonly size: number;
}

/**
 * Shape of what a node pools, without its samples, where it is known and windows that neither overlap nor leave gaps cover
 * all of it.
 */
function tiledShape(writer: Writer, node: Node, kernel: Lengths): Lengths | undefined {
  const shape = fixedShape(writer.dims(node.inputs[0]!)?.slice(1));
  if (shape === undefined || kernel.some((length) => length > MAX_LENGTH)) return undefined;
  const { strides, dilations, begins, ends } = windowsOf(node, kernel, writer);
  const sideBySide = kernel.every((length, axis) => length === strides[axis] && dilations[axis] === 1);
  const whole = kernel.every((length, axis) => shape[axis + 1]! % length === 0);
  return sideBySide && whole && [...begins, ...ends].every((pad) => pad === 0) ? shape : undefined;
}

/** One cut for each axis of the windows, last axis first; each finds the axes behind it shortened. */
const cutsOf = ({ shape, kernel }: Tiled): readonly Cut[] =>
  kernel
    .map((size, at) => ({
      shape: shape.map((length, axis) => (axis > at + 1 ? length / kernel[axis - 1]! : length)),
      axis: at + 2,
      size,
    }))
    .filter(({ size }) => size > 1)
    .reverse();

/** Reshape; the number of samples stays. */
const shaped = ({ emit, ints }: Writer, value: string, shape: Lengths): string =>
  emit("Reshape", [value, ints([0, ...shape])]);

/** The elements of each window by their place in it. */
function cut(writer: Writer, value: string, { shape, axis, size }: Cut): readonly string[] {
  const [before, length, after] = [shape.slice(0, axis - 1), shape[axis - 1]! / size, shape.slice(axis)];
  const windows = shaped(writer, value, [...before, length, size, ...after]);
  const sizes = writer.ints(Array.from({ length: size }, () => 1));
  const parts = writer.emitMany("Split", [windows, sizes], size, { axis: axis + 1 });
  return parts.map((part) => shaped(writer, part, [...before, length, ...after]));
}

/** The largest of all; of equal ones the first takes the gradient. */
const largest = ({ emit }: Writer, places: readonly string[]): string =>
  places.reduce((found, place) => emit("fewbit.FirstMax", [found, place]));

/** The largest element of each window. Rows are searched before columns of rows, so of equal elements the first in memory wins. */
function pooled(writer: Writer, node: Node, tiled: Tiled): string {
  if (tiled.conv === undefined)
    return cutsOf(tiled).reduce((value, where) => largest(writer, cut(writer, value, where)), node.inputs[0]!);
  return tiled.kernel.reduceRight(
    (places, size) => {
      const rows = Array.from({ length: places.length / size }, (_, row) => places.slice(row * size, (row + 1) * size));
      return rows.map((row) => largest(writer, row));
    },
    phases(writer, tiled.conv, tiled.kernel),
  )[0]!;
}

/** What becomes of a node, where it is a pool that a trained value goes into. */
function tiledPool(writer: Writer, node: Node, needed: ReadonlySet<string>): Tiled | undefined {
  if (node.op !== "MaxPool" || node.domain !== "" || !needed.has(node.inputs[0]!)) return undefined;
  const kernel = intsAttribute(node, "kernel_shape");
  const alone = node.outputs.filter((name) => name !== "").length === 1;
  const shape = kernel && alone ? tiledShape(writer, node, kernel) : undefined;
  return kernel && shape && { kernel, shape };
}

/** The pools that are written as maxima, with the convolutions that go with them. */
function tiledPools(writing: Writing, needed: ReadonlySet<string>, kept: ReadonlySet<string>) {
  const { graph } = writing;
  const [makers, readers] = [producers(graph), consumers(graph)];
  const seen = new Set([...kept, ...graph.outputs.map(({ name }) => name)]);
  const found = new Map<Node, Tiled>();
  for (const node of graph.nodes) {
    const writer = writerFor(writing, "training step", node);
    const tiled = tiledPool(writer, node, needed);
    if (tiled === undefined) continue;
    const value = node.inputs[0]!;
    const maker = seen.has(value) || readers.get(value)!.length > 1 ? undefined : makers.get(value);
    const conv = maker && !needed.has(maker.inputs[0]!) ? phasedConv(writer, maker, tiled.kernel) : undefined;
    found.set(node, { ...tiled, ...(conv && { conv }) });
  }
  return found;
}

/**
 * Writes such pools as maxima where one of `parameters` is trained through them. A convolution in front of one that nothing
 * is trained through makes each place of the windows apart. Values named in `kept` stay. The same graph when there is none.
 */
export function poolsAsMaxima(graph: Graph, parameters: readonly string[], kept: ReadonlySet<string>): Graph {
  if (!graph.nodes.some(({ op }) => op === "MaxPool")) return graph;
  const writing = startWriting(graph, "pool");
  const pools = tiledPools(writing, dependents(graph, parameters, writing.types), kept);
  if (pools.size === 0) return graph;
  const gone = new Set([...pools.values()].map(({ conv }) => conv?.node));
  for (const node of graph.nodes) {
    const tiled = pools.get(node);
    if (tiled) add(writing, "Identity", [pooled(writerFor(writing, "training step", node), node, tiled)], node.outputs);
    else if (!gone.has(node)) append(writing, node);
  }
  const values = new Map(graph.values);
  for (const node of gone) if (node) values.delete(node.outputs[0]!);
  return { ...written(writing), nodes: writing.added, values };
}
