/** Messages name files as the user knows them, never the temporary ones that models are tried out in. */
import { expect, it } from "vitest";
import { node, onnxModel, valueInfo } from "../../src/ir/build.ts";
import { nodeHost } from "../../src/node/host.ts";

it("calls a staged model by its name when the engine can't open it", async () => {
  const model = onnxModel({
    inputs: [valueInfo("x", "float32", [1])],
    outputs: [valueInfo("y", "float32", [1])],
    nodes: [node("NoSuchOp", ["x"], ["y"])],
  });
  const host = await nodeHost({ threads: 1 }, new AbortController().signal);
  await using staged = await host.stage(model, "small.w8.onnx");
  const opened = host.engine.open(staged.place);
  await expect(opened).rejects.toThrow(/^ort-(node|web): small\.w8\.onnx: /);
});
