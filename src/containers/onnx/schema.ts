/**
 * The messages of onnx.proto (IR version 14, ONNX 1.23) as a table.
 * `one` and `many` are fields that fewbit has a noun for; `rest` ones are carried along as they are.
 */

/**
 * What a field holds. `text` is a string where broken UTF-8 is forgiven (documentation), `data` a tensor's payload,
 * which stays in the file; a message is written by its name.
 */
export type Kind = "int64" | "int32" | "float" | "floats" | "string" | "text" | "bytes" | "data" | MessageName;

export interface Row {
  readonly id: number;
  readonly kind: Kind;
  readonly label: "one" | "many" | "rest";
}

type RowOf<K extends Kind, L extends Row["label"]> = { readonly id: number; readonly kind: K; readonly label: L };

const one = <K extends Kind>(id: number, kind: K): RowOf<K, "one"> => ({ id, kind, label: "one" });
const many = <K extends Kind>(id: number, kind: K): RowOf<K, "many"> => ({ id, kind, label: "many" });
const rest = <K extends Kind>(id: number, kind: K): RowOf<K, "rest"> => ({ id, kind, label: "rest" });

const MESSAGE_NAMES = [
  "ModelProto",
  "GraphProto",
  "NodeProto",
  "AttributeProto",
  "ValueInfoProto",
  "TensorProto",
  "Segment",
  "SparseTensorProto",
  "TensorAnnotation",
  "TypeProto",
  "TypeTensor",
  "TypeSequence",
  "TypeMap",
  "TypeOptional",
  "TypeSparseTensor",
  "TypeOpaque",
  "TensorShapeProto",
  "Dimension",
  "OperatorSetIdProto",
  "StringStringEntryProto",
  "FunctionProto",
  "TrainingInfoProto",
  "DeviceConfigurationProto",
  "NodeDeviceConfigurationProto",
  "ShardingSpecProto",
  "IntIntListEntryProto",
  "ShardedDimProto",
  "SimpleShardedDimProto",
] as const;

export type MessageName = (typeof MESSAGE_NAMES)[number];

export const SCHEMA = {
  ModelProto: {
    irVersion: one(1, "int64"),
    producerName: one(2, "text"),
    producerVersion: one(3, "text"),
    domain: rest(4, "string"),
    modelVersion: rest(5, "int64"),
    docString: rest(6, "text"),
    graph: one(7, "GraphProto"),
    opsetImport: many(8, "OperatorSetIdProto"),
    metadataProps: many(14, "StringStringEntryProto"),
    trainingInfo: rest(20, "TrainingInfoProto"),
    functions: many(25, "FunctionProto"),
    configuration: rest(26, "DeviceConfigurationProto"),
  },
  GraphProto: {
    node: many(1, "NodeProto"),
    name: one(2, "string"),
    initializer: many(5, "TensorProto"),
    docString: one(10, "text"),
    input: many(11, "ValueInfoProto"),
    output: many(12, "ValueInfoProto"),
    valueInfo: many(13, "ValueInfoProto"),
    quantizationAnnotation: rest(14, "TensorAnnotation"),
    sparseInitializer: rest(15, "SparseTensorProto"),
    metadataProps: rest(16, "StringStringEntryProto"),
  },
  NodeProto: {
    input: many(1, "string"),
    output: many(2, "string"),
    name: one(3, "string"),
    opType: one(4, "string"),
    attribute: many(5, "AttributeProto"),
    docString: one(6, "text"),
    domain: one(7, "string"),
    overload: rest(8, "string"),
    metadataProps: rest(9, "StringStringEntryProto"),
    deviceConfigurations: rest(10, "NodeDeviceConfigurationProto"),
  },
  AttributeProto: {
    name: one(1, "string"),
    f: one(2, "float"),
    i: one(3, "int64"),
    s: one(4, "bytes"),
    t: one(5, "TensorProto"),
    g: one(6, "GraphProto"),
    floats: many(7, "floats"),
    ints: many(8, "int64"),
    strings: many(9, "bytes"),
    tensors: many(10, "TensorProto"),
    graphs: many(11, "GraphProto"),
    docString: rest(13, "text"),
    typeProto: rest(14, "TypeProto"),
    typeProtos: rest(15, "TypeProto"),
    type: one(20, "int32"),
    refAttrName: rest(21, "string"),
    sparseTensor: rest(22, "SparseTensorProto"),
    sparseTensors: rest(23, "SparseTensorProto"),
  },
  ValueInfoProto: {
    name: one(1, "string"),
    type: one(2, "TypeProto"),
    docString: one(3, "text"),
    metadataProps: rest(4, "StringStringEntryProto"),
  },
  TensorProto: {
    dims: many(1, "int64"),
    dataType: one(2, "int32"),
    segment: rest(3, "Segment"),
    floatData: many(4, "data"),
    int32Data: many(5, "data"),
    stringData: many(6, "bytes"),
    int64Data: many(7, "data"),
    name: one(8, "string"),
    rawData: one(9, "data"),
    doubleData: many(10, "data"),
    uint64Data: many(11, "data"),
    docString: one(12, "text"),
    externalData: many(13, "StringStringEntryProto"),
    dataLocation: one(14, "int32"),
    metadataProps: rest(16, "StringStringEntryProto"),
  },
  Segment: { begin: rest(1, "int64"), end: rest(2, "int64") },
  SparseTensorProto: { values: one(1, "TensorProto"), indices: one(2, "TensorProto"), dims: rest(3, "int64") },
  TensorAnnotation: { tensorName: rest(1, "string"), quantParameterTensorNames: rest(2, "StringStringEntryProto") },
  TypeProto: {
    tensorType: one(1, "TypeTensor"),
    sequenceType: rest(4, "TypeSequence"),
    mapType: rest(5, "TypeMap"),
    denotation: rest(6, "string"),
    opaqueType: rest(7, "TypeOpaque"),
    sparseTensorType: rest(8, "TypeSparseTensor"),
    optionalType: rest(9, "TypeOptional"),
  },
  TypeTensor: { elemType: one(1, "int32"), shape: one(2, "TensorShapeProto") },
  TypeSequence: { elemType: rest(1, "TypeProto") },
  TypeMap: { keyType: rest(1, "int32"), valueType: rest(2, "TypeProto") },
  TypeOptional: { elemType: rest(1, "TypeProto") },
  TypeSparseTensor: { elemType: rest(1, "int32"), shape: rest(2, "TensorShapeProto") },
  TypeOpaque: { domain: rest(1, "string"), name: rest(2, "string") },
  TensorShapeProto: { dim: many(1, "Dimension") },
  Dimension: { dimValue: one(1, "int64"), dimParam: one(2, "string"), denotation: rest(3, "string") },
  OperatorSetIdProto: { domain: one(1, "string"), version: one(2, "int64") },
  StringStringEntryProto: { key: one(1, "string"), value: one(2, "text") },
  FunctionProto: {
    name: one(1, "string"),
    input: many(4, "string"),
    output: many(5, "string"),
    attribute: rest(6, "string"),
    node: many(7, "NodeProto"),
    docString: rest(8, "text"),
    opsetImport: many(9, "OperatorSetIdProto"),
    domain: one(10, "string"),
    attributeProto: rest(11, "AttributeProto"),
    valueInfo: rest(12, "ValueInfoProto"),
    overload: one(13, "string"),
    metadataProps: rest(14, "StringStringEntryProto"),
  },
  TrainingInfoProto: {
    initialization: one(1, "GraphProto"),
    algorithm: one(2, "GraphProto"),
    initializationBinding: rest(3, "StringStringEntryProto"),
    updateBinding: rest(4, "StringStringEntryProto"),
  },
  DeviceConfigurationProto: { name: rest(1, "string"), numDevices: rest(2, "int32"), device: rest(3, "string") },
  NodeDeviceConfigurationProto: {
    configurationId: rest(1, "string"),
    shardingSpec: rest(2, "ShardingSpecProto"),
    pipelineStage: rest(3, "int32"),
  },
  ShardingSpecProto: {
    tensorName: rest(1, "string"),
    device: rest(2, "int64"),
    indexToDeviceGroupMap: rest(3, "IntIntListEntryProto"),
    shardedDim: rest(4, "ShardedDimProto"),
  },
  IntIntListEntryProto: { key: rest(1, "int64"), value: rest(2, "int64") },
  ShardedDimProto: { axis: rest(1, "int64"), simpleSharding: rest(2, "SimpleShardedDimProto") },
  SimpleShardedDimProto: { dimValue: rest(1, "int64"), dimParam: rest(2, "string"), numShards: rest(3, "int64") },
} as const satisfies { readonly [M in MessageName]: Readonly<Record<string, Row>> };

/** Rows of a message in the order of their numbers, each with the name of its property. */
const ordered = (name: MessageName): readonly (readonly [string, Row])[] =>
  Object.entries<Row>(SCHEMA[name]).sort(([, a], [, b]) => a.id - b.id);

/** A table with an entry for every message. */
export const perMessage = <T>(make: (name: MessageName) => T): { readonly [M in MessageName]: T } =>
  Object.fromEntries(MESSAGE_NAMES.map((name) => [name, make(name)])) as { [M in MessageName]: T };

export const ROWS = perMessage(ordered);

/** Row of a message by field number. */
export const BY_ID = perMessage((name) => new Map(ordered(name).map(([key, row]) => [row.id, { key, ...row }])));

/** The message a field holds, if it holds one. */
export const messageOf = (kind: Kind): MessageName | undefined =>
  Object.hasOwn(SCHEMA, kind) ? (kind as MessageName) : undefined;
