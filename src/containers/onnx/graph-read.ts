/** Graphs, nodes, attributes and functions of ONNX to their nouns. */
import type { Attribute, FunctionDef, Graph, Node } from "../../ir/model.ts";
import { fail } from "../../numeric/errors.ts";
import { MAX_DEPTH } from "./limits.ts";
import { type Decoded, decode } from "./message-read.ts";
import { extraOf, type OpaqueAttribute, payloadPiece, type Reading, refersOutside, remember } from "./reading.ts";
import { readTensor } from "./tensor-read.ts";
import { readValue } from "./types.ts";
import type { Field } from "./wire.ts";

/** Messages from one graph to the next inside it: graph, node, attribute. */
const MAX_GRAPH_DEPTH = Math.floor(MAX_DEPTH / 3);

/** "ai.onnx" is another name of the default domain. */
const domainOf = (name: string | undefined): string => (name === undefined || name === "ai.onnx" ? "" : name);

type AttributeReader = (proto: Decoded<"AttributeProto">, reading: Reading) => Attribute | undefined;

const present = <T, A>(value: T | undefined, make: (value: T) => A): A | undefined =>
  value === undefined ? undefined : make(value);

/** By AttributeProto.AttributeType; types without a row (sparse tensors, types) are kept as they are. */
const ATTRIBUTES = new Map<number, AttributeReader>([
  [1, ({ f }) => ({ type: "float", value: f ?? 0 })],
  [2, ({ i }) => ({ type: "int", value: i ?? 0 })],
  [3, ({ s }) => ({ type: "string", value: s ?? new Uint8Array(0) })],
  [4, ({ t }, reading) => present(t, (found) => ({ type: "tensor", value: readTensor(reading, found) }))],
  [5, ({ g }, reading) => present(g, (found) => ({ type: "graph", value: readGraph(reading, found) }))],
  [6, ({ floats }) => ({ type: "floats", value: floats })],
  [7, ({ ints }) => ({ type: "ints", value: ints })],
  [8, ({ strings }) => ({ type: "strings", value: strings })],
  [9, ({ tensors }, reading) => ({ type: "tensors", value: tensors.map((found) => readTensor(reading, found)) })],
  [10, ({ graphs }, reading) => ({ type: "graphs", value: graphs.map((found) => readGraph(reading, found)) })],
]);

/** Type of an attribute without one, as files of IR version 1 have it: told by the value that is there. */
const typeByValue = ({ f, i, s, t, g, floats, ints, strings }: Decoded<"AttributeProto">): number =>
  [f, i, s, t, g].findIndex((value) => value !== undefined) + 1 ||
  (floats.length && 6) ||
  (ints.length && 7) ||
  (strings.length && 8) ||
  0;

const REF_ATTR_NAME = 21;

function opaque(reading: Reading, message: Field): Attribute {
  const outside = refersOutside("AttributeProto", message);
  if (outside) reading.outside++;
  const value: OpaqueAttribute = { onnx: payloadPiece(reading.source, message), outside };
  return { type: "opaque", value };
}

function readAttribute(reading: Reading, message: Field): readonly [string, Attribute] {
  const proto = decode("AttributeProto", message, reading.tally);
  const refers = proto.rest.some(({ id, end, offset }) => id === REF_ATTR_NAME && end > offset);
  const read = refers ? undefined : ATTRIBUTES.get(proto.type || typeByValue(proto));
  const make = () => read?.(proto, reading) ?? opaque(reading, message);
  // Only what the noun does not hold (documentation, fields from the future) is a reason to remember the message.
  return [proto.name ?? "", proto.rest.length > 0 ? remember(reading, message, make) : make()];
}

function attributesOf(reading: Reading, messages: readonly Field[], where: string): Node["attributes"] {
  const entries = messages.map((message) => readAttribute(reading, message));
  const attributes = Object.fromEntries(entries);
  if (Object.keys(attributes).length !== entries.length)
    fail("format", `${where} has two attributes of the same name; the file is damaged`);
  return attributes;
}

function readNode(reading: Reading, message: Field): Node {
  return remember(reading, message, () => {
    const proto = decode("NodeProto", message, reading.tally);
    const op = proto.opType ?? "";
    const label = proto.name || proto.output[0] || op;
    if (op === "") fail("format", `onnx: node "${label}" at byte ${message.start} names no operator`);
    return {
      name: proto.name ?? "",
      op,
      domain: domainOf(proto.domain),
      inputs: proto.input,
      outputs: proto.output,
      attributes: attributesOf(reading, proto.attribute, `onnx: node "${label}" (${op})`),
      ...(proto.docString !== undefined && { doc: proto.docString }),
      ...extraOf(reading, "NodeProto", proto.rest),
    };
  });
}

const byName = <T extends { readonly name: string }>(items: readonly T[]): ReadonlyMap<string, T> =>
  new Map(items.map((item) => [item.name, item]));

/** Items by name, in file order; names must be there and differ. */
function uniqueByName<T extends { readonly name: string }>(items: readonly T[], what: string): ReadonlyMap<string, T> {
  const named = byName(items);
  if (named.has("")) fail("format", `onnx: ${what} has no name; the file is damaged`);
  if (named.size === items.length) return named;
  const twice = items.find((item) => named.get(item.name) !== item);
  return fail("graph", `onnx: ${what} "${twice?.name}" is there twice; names must differ`);
}

const SPARSE_INITIALIZER = 15;

/** Names of a graph's sparse initializers: those of their values. */
const sparseNames = (reading: Reading, rest: readonly Field[]): readonly string[] =>
  rest
    .filter(({ id, wire }) => id === SPARSE_INITIALIZER && wire === 2)
    .map((message) => decode("SparseTensorProto", message, reading.tally).values)
    .map((values) => (values && decode("TensorProto", values, reading.tally).name) ?? "")
    .filter((name) => name !== "");

function graphOf(reading: Reading, message: Field): Graph {
  const proto = decode("GraphProto", message, reading.tally);
  const opaque = sparseNames(reading, proto.rest);
  const tensors = proto.initializer.map((found) => readTensor(reading, found));
  reading.tensors += tensors.length;
  return {
    name: proto.name ?? "",
    inputs: proto.input.map((found) => readValue(reading, found)),
    outputs: proto.output.map((found) => readValue(reading, found)),
    nodes: proto.node.map((found) => readNode(reading, found)),
    tensors: reading.repeats ? byName(tensors) : uniqueByName(tensors, `initializer of graph "${proto.name ?? ""}"`),
    values: new Map(proto.valueInfo.map((found) => readValue(reading, found)).map((value) => [value.name, value])),
    ...(opaque.length > 0 && { opaque }),
    ...(proto.docString !== undefined && { doc: proto.docString }),
    ...extraOf(reading, "GraphProto", proto.rest),
  };
}

/** A graph with its sub-graphs; depth is limited. */
export function readGraph(reading: Reading, message: Field): Graph {
  if (++reading.depth > MAX_GRAPH_DEPTH)
    fail("limit", `onnx: graphs nest deeper than ${MAX_GRAPH_DEPTH} at byte ${message.start}`);
  const graph = remember(reading, message, () => graphOf(reading, message));
  reading.depth--;
  return graph;
}

/** Operator set versions by domain. */
export function opsetsOf(
  reading: Reading,
  messages: readonly Field[],
  where: string,
): Readonly<Record<string, number>> {
  const opsets = new Map<string, number>();
  for (const message of messages) {
    const proto = decode("OperatorSetIdProto", message, reading.tally);
    const domain = domainOf(proto.domain);
    const version = Number(proto.version ?? 0);
    const known = opsets.get(domain) ?? version;
    if (known !== version)
      fail("format", `onnx: ${where} imports operator set "${domain || "ai.onnx"}" as ${known} and as ${version}`);
    opsets.set(domain, version);
  }
  return Object.fromEntries(opsets);
}

/** A model-local function. */
export function readFunction(reading: Reading, message: Field): FunctionDef {
  return remember(reading, message, () => {
    const proto = decode("FunctionProto", message, reading.tally);
    return {
      name: proto.name ?? "",
      domain: domainOf(proto.domain),
      ...(proto.overload && { overload: proto.overload }),
      inputs: proto.input,
      outputs: proto.output,
      nodes: proto.node.map((found) => readNode(reading, found)),
      opsets: opsetsOf(reading, proto.opsetImport, `function "${proto.name ?? ""}"`),
      ...extraOf(reading, "FunctionProto", proto.rest),
    };
  });
}
