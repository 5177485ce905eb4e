/** What is inside files of tensors without a graph: GGUF and safetensors. */
import type { MetadataValue, TensorFile, Text } from "../ir/tensor-file.ts";
import { textOf } from "../ir/tensor-file.ts";
import { elementCount } from "../numeric/dtypes.ts";
import { byDtype, largestOf } from "./inspect.ts";
import type { WeightsReport } from "./result.ts";

/** Everything `fewbit inspect` prints of weights but the files' own facts. */
export type WeightsContents = Omit<WeightsReport, "kind" | "model">;

/** Longest text shown of a value, in characters. */
const SHOWN = 60;
/** Elements shown of an array. */
const ELEMENTS = 4;
/** Digits that a float32 keeps. */
const FLOAT_DIGITS = 7;

const shortText = (text: Text): string =>
  typeof text !== "string" ? `${text.length} bytes` : text.length > SHOWN ? `${text.slice(0, SHOWN)}...` : text;

/** A value as one short text: arrays by length and first elements. */
function shown({ type, value }: MetadataValue): string {
  if (type === "string") return shortText(value);
  if (type === "float32") return String(Number(Number(value).toPrecision(FLOAT_DIGITS)));
  if (type !== "array") return String(value);
  const first = Array.from<unknown, string>(value.slice(0, ELEMENTS), (element) =>
    typeof element === "string" || element instanceof Uint8Array
      ? JSON.stringify(shortText(element))
      : typeof element === "object"
        ? "[...]"
        : String(element),
  );
  return `${value.length}: ${first.join(", ")}${value.length > ELEMENTS ? ", ..." : ""}`;
}

const typeName = (entry: MetadataValue): string => (entry.type === "array" ? `${entry.of}[]` : entry.type);

/** Tensors by type, the largest of them, and all metadata in short; reads no tensor. */
export function inspectWeights(file: TensorFile): WeightsContents {
  const tensors = [...file.tensors.values()].map(({ type, ...rest }) => ({ ...rest, dtype: type }));
  const architecture = textOf(file, "general.architecture");
  return {
    container: file.container,
    formatVersion: file.formatVersion,
    ...(architecture !== undefined && { architecture }),
    tensors: tensors.length,
    parameters: tensors.reduce((sum, { shape }) => sum + elementCount(shape), 0),
    weights: byDtype(tensors),
    largest: largestOf(tensors),
    metadata: [...file.metadata].map(([key, entry]) => ({ key, type: typeName(entry), value: shown(entry) })),
  };
}
