import { expect, test } from "vitest";
import { branches, matmul } from "./models.case.ts";
import { withTaps } from "./taps.ts";

test("tapped values follow the outputs, each once, without a declared type", () => {
  const tapped = withTaps(matmul, ["m", "y", "m"]);
  expect(tapped.graph.outputs).toEqual([...matmul.graph.outputs, { name: "m" }]);
  expect(tapped.graph.nodes).toBe(matmul.graph.nodes);
});

test("a model comes back as it is when there is nothing to tap", () => {
  expect(withTaps(matmul, [])).toBe(matmul);
  expect(withTaps(matmul, ["y"])).toBe(matmul);
});

test("a value the main graph does not have is refused by name", () => {
  expect(() => withTaps(matmul, ["nothing"])).toThrow(/value "nothing" can't be tapped/);
  expect(() => withTaps(branches, ["t"])).toThrow(/value "t" can't be tapped/);
});
