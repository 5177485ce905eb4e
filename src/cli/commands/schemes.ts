/** fewbit schemes: the names that --scheme takes. */
import { type Command, EXIT } from "../command.ts";
import { writeJson } from "../json.ts";
import { printSchemes } from "../print/schemes.ts";

export const schemes: Command = {
  name: "schemes",
  summary: "list the schemes; with a model, those that fit it and the size they would give",
  arguments: [{ name: "[model]", summary: "model file" }],
  options: [],
  examples: [
    ["schemes", "all there are"],
    ["schemes model.onnx", "which fit this model, how small they make it, and which need data"],
    ["schemes model.onnx --json", "the same for programs"],
  ],
  async run([model], _flags, { io, services, progress, json }) {
    const request = model === undefined ? {} : { model: String(model) };
    const report = await services.schemes(request, { progress, signal: io.signal });
    if (json) writeJson(io, report);
    else printSchemes(io, report);
    return EXIT.done;
  },
};
