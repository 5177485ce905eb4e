/** fewbit demo: the whole way on a model that comes with fewbit. */
import type { Command } from "../command.ts";
import { writeJson } from "../json.ts";
import { ENGINE_OPTIONS, type EngineFlags, engineRequest } from "../option.ts";
import { printQuantized } from "../print/quantized.ts";
import { exitCode, quantizeJson } from "../quantized.ts";
import { writeReport } from "../report-files.ts";

interface DemoFlags extends EngineFlags {
  readonly output: string;
}

export const demo: Command = {
  name: "demo",
  summary: "make the model that comes with fewbit smaller in several ways, by training too, and report on each",
  arguments: [],
  options: [
    { flags: "-o, --output <folder>", summary: "folder for models and report", otherwise: "fewbit-demo" },
    ...ENGINE_OPTIONS,
  ],
  examples: [
    ["demo", "models and report go to ./fewbit-demo"],
    ["demo -o /tmp/demo", "to another folder"],
    ["demo --engine ort-web", "with the WebAssembly engine"],
  ],
  async run(_values, flags: DemoFlags, { io, services, progress, json, command }) {
    const request = { ...engineRequest(flags, services), output: flags.output, command };
    const report = await services.demo(request, { progress, signal: io.signal });
    const page = await writeReport(report, undefined, services);
    if (json) writeJson(io, quantizeJson(report, page));
    else printQuantized(io, report, page);
    return exitCode(report);
  },
};
