import { expect, test } from "vitest";
import { looksLike } from "./sniff.ts";

const bytes = (text: string): Uint8Array => Uint8Array.from(text, (char) => char.charCodeAt(0));

test.each([
  ["", "empty"],
  ["GGUF\x03\0\0\0", "GGUF"],
  ["\x1c\0\0\0TFL3", "TensorFlow Lite"],
  ["\x1c\0\0\0ORTM", "ORT format"],
  ["PK\x03\x04....", "PyTorch"],
  ["\x80\x02}q", "pickle"],
  ["version https://git-lfs.github.com/spec/v1\n", "Git LFS"],
  ["\n<!DOCTYPE html><html>", "web page"],
  ["<html>", "web page"],
  ['@\0\0\0\0\0\0\0{"w":', "the folder that holds it and config.json"],
  ['{"metadata": {}, "weight_map": {"w":', "the index of a folder of safetensors"],
  ['{"error":"not found"}', "JSON"],
  ["# fewbit\n\nturns an ONNX model", "text"],
  ["\x93NUMPY\x01\0", "NumPy"],
])("bytes %j are told apart as %s", (start, what) => {
  expect(looksLike(bytes(start))).toContain(what);
});

test("the beginning of an ONNX file looks like nothing else", () => {
  expect(looksLike(bytes("\x08\x08\x12\x07pytorch\x3a\x10"))).toBeUndefined();
});
