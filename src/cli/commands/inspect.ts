/** fewbit inspect: what is in a model. */
import { type Command, EXIT } from "../command.ts";
import { writeJson } from "../json.ts";
import { printInspected } from "../print/inspected.ts";
import { printWeights } from "../print/weights.ts";

export const inspect: Command = {
  name: "inspect",
  summary: "show what is inside: ops, weights by type, what can be quantized and what can't, and why",
  arguments: [{ name: "<model>", summary: "model file, .gguf, .safetensors, or a folder of weights" }],
  options: [],
  examples: [
    ["inspect model.onnx", "tables for people"],
    ["inspect model.onnx --json", "the same for programs"],
    ["inspect model.onnx --json | jq .parameters", "one number of it"],
  ],
  async run([model], _flags, { io, services, progress, json }) {
    const report = await services.inspect({ model: String(model) }, { progress, signal: io.signal });
    if (json) writeJson(io, report);
    else if (report.kind === "weights") printWeights(io, report);
    else printInspected(io, report);
    return EXIT.done;
  },
};
