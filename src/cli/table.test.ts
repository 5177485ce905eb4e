import { expect, it } from "vitest";
import { describeCommand } from "./command-line.ts";
import { displayWidth } from "./io.ts";
import { table, wrap } from "./table.ts";

it("aligns names to the left, numbers to the right, and counts wide letters as two columns", () => {
  const text = table(
    [{ title: "name" }, { title: "size", align: "right" }],
    [
      ["模型", "9 B"],
      ["model", "120 kB"],
    ],
  );
  expect(text).toBe("name     size\n模型      9 B\nmodel  120 kB\n");
  expect(new Set(text.trimEnd().split("\n").map(displayWidth))).toEqual(new Set([13]));
});

it("leaves out columns nobody has a value for and marks single missing values", () => {
  const columns = [{ title: "a" }, { title: "b" }, { title: "c" }];
  expect(
    table(columns, [
      ["1", undefined, "x"],
      ["2", "", undefined],
    ]),
  ).toBe("a  c\n1  x\n2  -\n");
});

it("keeps control characters and line breaks out of cells", () => {
  expect(table([{ title: "a" }], [["x\u001b[31m\ny"]])).toBe("a\nx\ufffd[31m y\n");
});

it("turns into one paragraph per row where the terminal is too narrow", () => {
  const columns = [{ title: "" }, { title: "size" }, { title: "latency" }, { title: "memory" }];
  const rows = [
    ["w8a8", "91.3 kB", undefined, "7.80 MB"],
    ["w4", "57.9 kB", "1.33 ms", undefined],
  ];
  expect(table(columns, rows, { width: 26 })).toBe(
    "w8a8\n  size 91.3 kB,\n  memory 7.80 MB\nw4\n  size 57.9 kB,\n  latency 1.33 ms\n",
  );
});

it("wraps at words and indents what follows", () => {
  expect(wrap("one two three four", 9, "  ")).toBe("one two\n  three\n  four");
  expect(wrap("from 87.71 % to 84.12 % in 3 ms", 14)).toBe("from 87.71 %\nto 84.12 % in\n3 ms");
});

it("shows a command line without absolute folders, quoted for a shell", () => {
  expect(describeCommand(["quantize", "/home/ada/my model.onnx", "--keep", "^a|b$", "--report=/srv/r.html"])).toBe(
    "fewbit quantize 'my model.onnx' --keep '^a|b$' --report=r.html",
  );
  expect(describeCommand(["quantize", "../m.onnx", "it's"])).toBe(`fewbit quantize ../m.onnx 'it'\\''s'`);
});
