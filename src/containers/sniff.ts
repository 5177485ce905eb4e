/** What a file looks like by its first bytes, for people who gave the wrong one. */

import type { ContainerName } from "../ir/model.ts";

/** Bytes of a file's beginning that `looksLike` wants to see. */
export const SNIFF_BYTES = 512;

interface Look {
  readonly at: number;
  readonly magic: string;
  readonly what: string;
  /** Present where fewbit reads such files. */
  readonly container?: ContainerName;
}

/** First match wins; `magic` is written with one character per byte. */
const LOOKS: readonly Look[] = [
  { at: 0, magic: "GGUF", what: "a GGUF model" },
  { at: 4, magic: "TFL3", what: "a TensorFlow Lite model", container: "tflite" },
  { at: 4, magic: "ORTM", what: "a model in ONNX Runtime's own ORT format; convert from the .onnx it was made of" },
  {
    at: 0,
    magic: "version https://git-lfs",
    what: "a Git LFS pointer, not the file itself; fetch it with `git lfs pull`",
  },
  { at: 0, magic: "PK\x03\x04", what: "a zip archive: a PyTorch checkpoint, a .npz file or a Core ML package" },
  { at: 0, magic: "\x80\x02", what: "a Python pickle, as old PyTorch checkpoints are; export it to ONNX first" },
  { at: 0, magic: "\x89HDF", what: "an HDF5 file, as Keras writes; export it to ONNX first" },
  { at: 0, magic: "\x93NUMPY", what: "a NumPy array" },
  { at: 0, magic: "\x1f\x8b", what: "a gzip archive; unpack it first" },
  { at: 0, magic: "\x28\xb5\x2f\xfd", what: "a Zstandard archive; unpack it first" },
  {
    at: 8,
    magic: "{",
    what: "a safetensors file, which holds weights without a graph; quantize and convert take the folder that holds it and config.json",
  },
  { at: 0, magic: "\x89PNG", what: "a picture" },
  { at: 0, magic: "\xff\xd8\xff", what: "a picture" },
  { at: 0, magic: "<?xml", what: "an XML file, such as an OpenVINO model description" },
  { at: 0, magic: "\x7fELF", what: "a program" },
];

const text = (bytes: Uint8Array): string => String.fromCharCode(...bytes.subarray(0, SNIFF_BYTES));

/** Control characters that texts do not hold; every ONNX file begins with one. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const NO_TEXT = /[\0-\x08\x0e-\x1a\x1c-\x1f\x7f]/;
const SHORTEST_TEXT = 8;

function textLook(start: string): string | undefined {
  const trimmed = start.trimStart().toLowerCase();
  if (trimmed.startsWith("<!doctype html") || trimmed.startsWith("<html"))
    return "a web page, perhaps an error page saved in place of a download";
  if (trimmed.startsWith("{") && trimmed.includes('"weight_map"'))
    return "the index of a folder of safetensors; quantize and convert take that folder";
  if (trimmed.startsWith("{") || trimmed.startsWith("[")) return "a JSON file";
  return start.length >= SHORTEST_TEXT && !NO_TEXT.test(start) ? "a text file" : undefined;
}

/** What the file seems to be instead of an ONNX model, as the end of "it looks like ..."; undefined when unknown. */
export function looksLike(head: Uint8Array): string | undefined {
  if (head.length === 0) return "an empty file";
  const start = text(head);
  return LOOKS.find(({ at, magic }) => start.startsWith(magic, at))?.what ?? textLook(start);
}

/** The container a file is of by its first bytes; ONNX, which has no mark of its own, where nothing else is seen. */
export function containerOf(head: Uint8Array): ContainerName {
  const start = text(head);
  return LOOKS.find(({ at, magic }) => start.startsWith(magic, at))?.container ?? "onnx";
}
