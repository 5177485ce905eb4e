/** fewbit convert: a model in another container. */

import { fail } from "../../numeric/errors.ts";
import { type Command, EXIT } from "../command.ts";
import { writeJson } from "../json.ts";
import {
  dataRequest,
  ENGINE_OPTIONS,
  type EngineFlags,
  engineRequest,
  present,
  SAMPLE_OPTIONS,
  type SampleFlags,
} from "../option.ts";
import { printConverted } from "../print/converted.ts";

interface ConvertFlags extends EngineFlags, SampleFlags {
  readonly output?: string;
  readonly data?: string;
}

export const convert: Command = {
  name: "convert",
  summary: "write a float TFLite model as ONNX, once both have been run and agree",
  arguments: [{ name: "<model>", summary: "the model to convert: .tflite" }],
  options: [
    { flags: "-o, --output <file>", summary: "where the converted model goes: .onnx" },
    { flags: "--data <data>", summary: "samples to run both models on: .npy, .npz, a folder, or random" },
    ...SAMPLE_OPTIONS,
    ...ENGINE_OPTIONS,
  ],
  examples: [
    ["convert model.tflite -o model.onnx", "checked on a few made-up inputs"],
    ["convert model.tflite -o model.onnx --data test.npy", "checked on your own samples"],
    ["convert model.tflite -o model.onnx --data test.npy --json", "the same for programs"],
  ],
  details:
    "Inputs and outputs keep names, types and shapes (channels last); weights keep their names. A model whose outputs differ by more than float rounding is not written. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.",
  async run([model], flags: ConvertFlags, { io, services, progress, json, command }) {
    const request = {
      ...engineRequest(flags, services),
      model: String(model),
      output:
        flags.output ?? fail("usage", "convert needs a file to write; name it with -o, for example -o model.onnx"),
      command,
      ...present({ data: flags.data === undefined ? undefined : dataRequest(flags.data, flags) }),
    };
    const report = await services.convert(request, { progress, signal: io.signal });
    if (json) writeJson(io, report);
    else printConverted(io, report);
    return report.output === undefined ? EXIT.failed : EXIT.done;
  },
};
