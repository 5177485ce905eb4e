/** Model, graphs, nodes and tensors to protobuf messages; what is unchanged since it was read is copied. */
import type { Attribute, FunctionDef, Graph, Model, Node, Tensor, ValueInfo } from "../../ir/model.ts";
import { byteLength, elementCount } from "../../numeric/dtypes.ts";
import { fail } from "../../numeric/errors.ts";
import { ELEMENT_TYPES } from "./dtypes.ts";
import type { Spot } from "./external-layout.ts";
import { encode, type Fields, type RawField } from "./message-write.ts";
import { EXTERNAL, type OnnxExtra, type OpaqueAttribute, originOf, payloadPiece } from "./reading.ts";
import { type Encoded, finish, type Part, part } from "./sink.ts";
import { encodeValue } from "./types.ts";

/** Where an initializer's data goes: a spot in an external file, or undefined for inside the model. */
export type Place = (tensor: Tensor) => Spot | undefined;

/** Everything stays inside the model. */
export const inside: Place = () => undefined;

/** Carried-along fields of an object; those that point into an external file can't go to a new model. */
function restOf(made: { readonly extra?: unknown }, where: string): readonly RawField[] {
  const { fields = [], outside } = (made.extra ?? {}) as Partial<OnnxExtra>;
  if (outside)
    fail(
      "unsupported",
      `onnx: ${where} keeps sparse or training data in an external file, which can't be rewritten; embed that data first`,
    );
  return fields;
}

/**
 * The message an unchanged object was read from, if it may be copied: nothing in it refers to an external file, and it
 * holds no initializers that are to move into one.
 */
function copyOf(made: object, place: Place): Part | undefined {
  const origin = originOf(made);
  if (origin === undefined || origin.outside > 0 || (origin.tensors > 0 && place !== inside)) return undefined;
  return part(payloadPiece(origin.source, origin.field));
}

/** Written one after the other, each made only when its turn comes. */
const each = <T>(items: Iterable<T>, make: (item: T) => Part): readonly Part[] =>
  Array.from(items, (item) => (to) => make(item)(to));

const encodeEntry = ([key, value]: readonly [string, string | number]): Part =>
  encode("StringStringEntryProto", { key, value: String(value) });

/** Only what says something: ONNX readers take an absent string for an empty one. */
const optional = (text: string | undefined): string | undefined => text || undefined;

function payloadFields(tensor: Tensor, spot: Spot | undefined): Fields<"TensorProto"> {
  if (tensor.dtype === "string") return { stringData: tensor.strings ?? [] };
  if (spot) return { externalData: Object.entries(spot).map(encodeEntry), dataLocation: EXTERNAL };
  return { rawData: tensor.data };
}

function checkSize({ name, dtype, shape, data, strings }: Tensor): void {
  const needed = dtype === "string" ? elementCount(shape) : byteLength(dtype, elementCount(shape));
  const found = dtype === "string" ? (strings?.length ?? 0) : data.size;
  if (needed !== found)
    fail(
      "graph",
      `onnx: tensor "${name}" has ${found} ${dtype === "string" ? "strings" : "bytes"}, but ${dtype}[${shape}] needs ${needed}`,
    );
}

function encodeTensor(tensor: Tensor, place: Place): Part {
  const spot = place(tensor);
  const copy = spot ? undefined : copyOf(tensor, place);
  if (copy) return copy;
  checkSize(tensor);
  return encode("TensorProto", {
    dims: tensor.shape,
    dataType: ELEMENT_TYPES[tensor.dtype].code,
    name: optional(tensor.name),
    docString: tensor.doc,
    ...payloadFields(tensor, spot),
    rest: restOf(tensor, `tensor "${tensor.name}"`),
  });
}

type Typed<T extends Attribute["type"]> = Extract<Attribute, { readonly type: T }>["value"];
type KnownType = Exclude<Attribute["type"], "opaque">;

/** AttributeProto.AttributeType of each type, and the field its value goes to. Constants stay inside the model. */
const ATTRIBUTES: {
  readonly [T in KnownType]: {
    readonly code: number;
    readonly fields: (value: Typed<T>, place: Place) => Fields<"AttributeProto">;
  };
} = {
  float: { code: 1, fields: (f) => ({ f }) },
  int: { code: 2, fields: (i) => ({ i }) },
  string: { code: 3, fields: (s) => ({ s }) },
  tensor: { code: 4, fields: (t) => ({ t: encodeTensor(t, inside) }) },
  graph: { code: 5, fields: (g, place) => ({ g: encodeGraph(g, place) }) },
  floats: { code: 6, fields: (floats) => ({ floats }) },
  ints: { code: 7, fields: (ints) => ({ ints }) },
  strings: { code: 8, fields: (strings) => ({ strings }) },
  tensors: { code: 9, fields: (tensors) => ({ tensors: tensors.map((t) => encodeTensor(t, inside)) }) },
  graphs: { code: 10, fields: (graphs, place) => ({ graphs: graphs.map((g) => encodeGraph(g, place)) }) },
};

function encodeOpaque(name: string, value: unknown): Part {
  const { onnx, outside } = (value ?? {}) as Partial<OpaqueAttribute>;
  if (onnx === undefined)
    fail("unsupported", `onnx: attribute ${name} comes from another container and can't be written`);
  if (outside) fail("unsupported", `onnx: attribute ${name} keeps its data in an external file; embed that data first`);
  return part(onnx);
}

function encodeAttribute(name: string, attribute: Attribute, place: Place): Part {
  const copy = copyOf(attribute, place);
  if (copy) return copy;
  if (attribute.type === "opaque") return encodeOpaque(name, attribute.value);
  const { code, fields } = ATTRIBUTES[attribute.type];
  return encode("AttributeProto", { name, type: code, ...fields(attribute.value as never, place) });
}

function encodeNode(node: Node, place: Place): Part {
  return (
    copyOf(node, place) ??
    encode("NodeProto", {
      input: node.inputs,
      output: node.outputs,
      name: optional(node.name),
      opType: node.op,
      domain: optional(node.domain),
      attribute: Object.entries(node.attributes).map(([name, value]) => encodeAttribute(name, value, place)),
      docString: node.doc,
      rest: restOf(node, `node "${node.name}"`),
    })
  );
}

const encodeValues = (values: Iterable<ValueInfo>): readonly Part[] =>
  each(values, (value) => encodeValue(value, restOf(value, `value "${value.name}"`)));

function encodeGraph(graph: Graph, place: Place): Part {
  return (
    copyOf(graph, place) ??
    encode("GraphProto", {
      node: each(graph.nodes, (node) => encodeNode(node, place)),
      name: graph.name,
      initializer: each(graph.tensors.values(), (tensor) => encodeTensor(tensor, place)),
      docString: graph.doc,
      input: encodeValues(graph.inputs),
      output: encodeValues(graph.outputs),
      valueInfo: encodeValues(graph.values.values()),
      rest: restOf(graph, `graph "${graph.name}"`),
    })
  );
}

const encodeOpsets = (opsets: Readonly<Record<string, number>>): readonly Part[] =>
  Object.entries(opsets).map(([domain, version]) => encode("OperatorSetIdProto", { domain, version }));

function encodeFunction(made: FunctionDef): Part {
  return (
    copyOf(made, inside) ??
    encode("FunctionProto", {
      name: made.name,
      domain: made.domain,
      overload: made.overload,
      input: made.inputs,
      output: made.outputs,
      node: each(made.nodes, (node) => encodeNode(node, inside)),
      opsetImport: encodeOpsets(made.opsets),
      rest: restOf(made, `function "${made.name}"`),
    })
  );
}

/** A changed model as ModelProto. */
export const encodeModel = (model: Model, place: Place): Encoded =>
  finish(
    encode("ModelProto", {
      irVersion: model.formatVersion,
      producerName: optional(model.producer?.name),
      producerVersion: optional(model.producer?.version),
      graph: encodeGraph(model.graph, place),
      opsetImport: encodeOpsets(model.opsets),
      metadataProps: Object.entries(model.metadata).map(encodeEntry),
      functions: model.functions.map(encodeFunction),
      rest: restOf(model, "the model"),
    }),
  );
