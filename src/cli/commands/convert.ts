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
import { printConvertedFolder } from "../print/converted-folder.ts";

/** Names of llama.cpp's converter. */
const TYPES = ["f32", "f16", "bf16", "q8_0", "auto"] as const;

interface ConvertFlags extends EngineFlags, SampleFlags {
  readonly output?: string;
  readonly data?: string;
  readonly type?: (typeof TYPES)[number];
  readonly pre?: string;
  readonly dryRun?: boolean;
}

export const convert: Command = {
  name: "convert",
  summary: "write a TFLite model as ONNX, or a folder of safetensors as GGUF",
  arguments: [{ name: "<model>", summary: "the model to convert: .tflite, or a folder of safetensors" }],
  options: [
    { flags: "-o, --output <file>", summary: "where the converted model goes: .onnx or .gguf" },
    {
      flags: "--type <name>",
      summary: "GGUF: what matrices become; auto, the default, keeps 16 bits of the kind they are in",
      choices: TYPES,
    },
    { flags: "--pre <name>", summary: "GGUF: llama.cpp's name of how the tokenizer cuts texts, if it is not found" },
    { flags: "--dry-run", summary: "GGUF: print what would be written, with its exact size; write nothing" },
    {
      flags: "--data <data>",
      summary: "samples to run both models on: .npy, .npz, a folder, or random; GGUF: a text file",
    },
    ...SAMPLE_OPTIONS,
    ...ENGINE_OPTIONS,
  ],
  examples: [
    ["convert model.tflite -o model.onnx", "checked on a few made-up inputs"],
    ["convert model.tflite -o model.onnx --data test.npy", "checked on your own samples"],
    ["convert model.tflite -o model.onnx --data test.npy --json", "the same for programs"],
    ["convert ./Llama-3.2-1B -o llama.gguf", "a folder of Hugging Face's with its tokenizer, for llama.cpp"],
    ["convert ./Qwen3-0.6B -o qwen.gguf --type q8_0", "the same with 8 bit matrices"],
    ["convert ./Qwen3-0.6B -o qwen.gguf --data text.txt", "and the perplexity on a text of yours"],
  ],
  details:
    "TFLite: inputs and outputs keep names, types and shapes (channels last); weights keep their names. A model whose outputs differ by more than float rounding is not written. Folders: the file is the one that llama.cpp's converter writes of a Llama, Mistral, Mixtral, Qwen2 or Qwen3 model, with experts too; where llama.cpp's binaries are installed it is run, and its perplexity told. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.",
  async run([model], flags: ConvertFlags, { io, services, progress, json, command }) {
    const request = {
      ...engineRequest(flags, services),
      model: String(model),
      output:
        flags.output ?? fail("usage", "convert needs a file to write; name it with -o, for example -o model.onnx"),
      command,
      ...present({ data: flags.data === undefined ? undefined : dataRequest(flags.data, flags) }),
      ...present({ type: flags.type, pre: flags.pre, dryRun: flags.dryRun }),
    };
    const report = await services.convert(request, { progress, signal: io.signal });
    if (json) writeJson(io, report);
    else if (report.kind === "convert-folder") printConvertedFolder(io, report);
    else printConverted(io, report);
    if (report.kind === "convert-folder") return EXIT.done;
    return report.output === undefined ? EXIT.failed : EXIT.done;
  },
};
