/** What a TFLite file holds that fewbit has no noun for, as `extra` of the model and of its parts. */
import type { Graph } from "../../ir/model.ts";
import type { ByteSource } from "../../ir/source.ts";
import type { Table } from "./schema.ts";

/** `extra` of a tensor or value. Its type, shape and quantization are written as read for as long as the nouns agree. */
export interface TfliteTensorExtra {
  /** The table as read; indices of tensors in its quantization stand in `scales` and `zeroPoints`. */
  readonly asRead?: Table<"Tensor">;
  /** The name it got where its own was empty or taken. */
  readonly named?: string;
  /** Names of the tensors that blockwise and multi-axis quantization refer to. */
  readonly scales?: string;
  readonly zeroPoints?: string;
  /** Content of a constant that is no plain array of its type: sparse, strings, or kept in another file. */
  readonly data?: ByteSource;
}

/** What a node was read as, to be written so again while it means the same. */
export interface NodeAsRead {
  readonly op: string;
  readonly table: Table<"Operator">;
  /** Place in the list of operator codes. */
  readonly code: number;
  readonly version: number;
  /** The version that the types of its values ask for, as `opVersion` saw it. */
  readonly derived: number;
}

/** `extra` of a node. */
export interface TfliteNodeExtra {
  /** Overrides the version that follows from the types of the node's values. */
  readonly version?: number;
  readonly customOptions?: Uint8Array | ByteSource;
  /** One for each input: whether the op changes that variable. */
  readonly mutatingVariableInputs?: readonly boolean[];
  /** Names of tensors that are internal to the op. */
  readonly intermediates?: readonly string[];
  readonly asRead?: NodeAsRead;
}

/** `extra` of a graph. */
export interface TfliteGraphExtra {
  /** The table as read; its lists of tensors and operators are emptied. */
  readonly asRead: Table<"SubGraph">;
  /** Names of all tensors in file order. */
  readonly order: readonly string[];
  /** Those of them that nothing refers to. */
  readonly unused: readonly string[];
}

/** One input or output of a signature: its alias and the value it stands for. */
export interface SignatureValue {
  readonly name?: string;
  readonly value: string;
}

/** A named way to call one of the model's graphs. */
export interface Signature {
  readonly key?: string;
  /** 0 is the model's graph, n the one at n - 1 in `subgraphs`. */
  readonly subgraph: number;
  readonly inputs?: readonly SignatureValue[];
  readonly outputs?: readonly SignatureValue[];
  readonly asRead?: Table<"SignatureDef">;
}

/** One entry of metadata; those that are text are in `Model.metadata` as well, which counts when it was changed. */
export interface MetadataEntry {
  readonly name?: string;
  readonly data: ByteSource;
  /** The text, where it is one. */
  readonly text?: string;
  readonly asRead?: Table<"Metadata">;
}

/** A buffer that no tensor and no metadata refers to, or whose form matters. */
export interface BufferNote {
  readonly buffer: number;
  /** Present for buffers that nothing refers to and that hold something. */
  readonly data?: ByteSource;
  /** Nothing refers to it. */
  readonly unused?: true;
  /** It has a vector of no bytes instead of none. */
  readonly emptyVector?: true;
}

/** `extra` of a model. */
export interface TfliteExtra {
  /** Graphs 1 and up, which control-flow ops name by number in their attributes. */
  readonly subgraphs: readonly Graph[];
  readonly signatures?: readonly Signature[];
  readonly description?: string;
  readonly metadata?: readonly MetadataEntry[];
  /** Buffers of the old, nameless kind of metadata. */
  readonly metadataBuffers?: readonly { readonly buffer: number; readonly data?: ByteSource }[];
  /** Numbers of operator codes that no node uses. */
  readonly unusedCodes?: readonly number[];
  /** The rest of the model's table as read, such as operator codes and external buffers. */
  readonly asRead?: Table<"Model">;
  readonly buffers?: readonly BufferNote[];
  /** A field of a newer schema; a model that holds one can only be copied. */
  readonly newer?: string;
}

const record = (extra: unknown): object => (typeof extra === "object" && extra !== null ? extra : {});

/** `extra` of a TFLite tensor or value; empty for those made in code. */
export const tensorExtra = ({ extra }: { readonly extra?: unknown }): TfliteTensorExtra => record(extra);
/** `extra` of a TFLite node; empty for one made in code. */
export const nodeExtra = ({ extra }: { readonly extra?: unknown }): TfliteNodeExtra => record(extra);
/** `extra` of a TFLite graph; empty for one made in code. */
export const graphExtra = ({ extra }: { readonly extra?: unknown }): Partial<TfliteGraphExtra> => record(extra);
/** `extra` of a TFLite model; without subgraphs for one made in code. */
export const tfliteExtra = ({ extra }: { readonly extra?: unknown }): TfliteExtra => ({
  subgraphs: [],
  ...record(extra),
});
