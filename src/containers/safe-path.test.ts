import { expect, test } from "vitest";
import { safeLocation } from "./safe-path.ts";

test("locations below the model's folder are accepted, with needless parts removed", () => {
  const accepted = {
    "model.onnx_data": "model.onnx_data",
    "./model.onnx_data": "model.onnx_data",
    "weights/./a//b.bin": "weights/a/b.bin",
    onnx__MatMul_123: "onnx__MatMul_123",
    "..data": "..data",
    "a..b": "a..b",
    "Gewichte-größe 1.bin": "Gewichte-größe 1.bin",
    console: "console",
  };
  for (const [location, expected] of Object.entries(accepted)) expect(safeLocation(location, "x")).toBe(expected);
});

test.each([
  ["", "is empty"],
  ["  ", "is empty"],
  ["x".repeat(2000), "longer than"],
  ["a\0b", "control characters"],
  ["a\nb", "control characters"],
  ["..\\secret", "backslash"],
  ["\\\\server\\share", "backslash"],
  ["/etc/passwd", "absolute"],
  ["//server/share", "absolute"],
  ["C:/windows", "drive"],
  ["c:weights", "drive"],
  ["file:weights", "drive"],
  ["https://example.org/x", "drive"],
  ["../weights", "leaves the folder"],
  ["a/../../weights", "leaves the folder"],
  ["a/..", "leaves the folder"],
  [".", "does not name a file"],
  ["a/", "does not name a file"],
  ["a/.", "does not name a file"],
  ["NUL", "device"],
  ["data/com1.bin", "device"],
])("location %j is refused because it %s", (location, complaint) => {
  expect(() => safeLocation(location, 'tensor "w"')).toThrow(complaint);
  expect(() => safeLocation(location, 'tensor "w"')).toThrow('tensor "w"');
});
