/** Builds the argument parser from the table of commands. */
import { Option, Command as Parser } from "commander";
import type { Command, OptionRow } from "./command.ts";
import type { Io } from "./io.ts";

const JSON_OPTION: OptionRow = { flags: "--json", summary: "print one JSON object on stdout" };
const QUIET_OPTION: OptionRow = { flags: "-q, --quiet", summary: "no progress" };

/** What the parser found: the command, its arguments in order, and its options by camel-case name. */
export interface Invocation {
  readonly command: Command;
  readonly values: readonly unknown[];
  readonly flags: { readonly json?: boolean; readonly quiet?: boolean };
}

function option({ flags, summary, parse, otherwise, choices, conflicts }: OptionRow): Option {
  const made = new Option(flags, summary);
  if (choices !== undefined) made.choices(choices);
  if (parse !== undefined) made.argParser((text, previous: unknown) => parse(text, previous));
  if (otherwise !== undefined) made.default(otherwise);
  if (conflicts !== undefined) made.conflicts(conflicts);
  return made;
}

function examples({ examples: rows, details }: Command): string {
  const lines = rows.map(([line, what]) => `  $ fewbit ${line}\n      ${what}`);
  return ["\nExamples:", ...lines, ...(details === undefined ? [] : ["", details])].join("\n");
}

const HELP_WIDTH = 100;

const OVERVIEW = `
Start here:
  $ fewbit demo                                  see it work on a model that comes along
  $ fewbit schemes model.onnx                    what fits your model
  $ fewbit quantize model.onnx -s w8a8 -c samples.npz

fewbit COMMAND --help shows the options and examples of a command.`;

function subcommand(program: Parser, row: Command, found: (invocation: Invocation) => void): void {
  const parser = program.command(row.name).description(row.summary).addHelpText("after", examples(row));
  for (const { name, summary } of row.arguments) parser.argument(name, summary);
  for (const each of [...row.options, JSON_OPTION, QUIET_OPTION]) parser.addOption(option(each));
  parser.action((...all: unknown[]) => {
    // commander hands over the arguments, then the options, then the parser itself
    found({ command: row, values: all.slice(0, -2), flags: all.at(-2) as Invocation["flags"] });
  });
}

/** A parser that calls `found` with what was asked for and throws commander's errors instead of exiting. */
export function createProgram(
  commands: readonly Command[],
  version: string,
  io: Io,
  found: (invocation: Invocation) => void,
): Parser {
  const program = new Parser("fewbit")
    .description("Makes AI models smaller and faster, and shows what that cost in accuracy.")
    .version(version, "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help")
    .helpCommand(false)
    .addHelpText("after", OVERVIEW)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void io.stdout.write(text),
      writeErr: () => {},
      getOutHelpWidth: () => Math.min(io.width, HELP_WIDTH),
      getOutHasColors: () => io.color,
    });
  for (const row of commands) {
    subcommand(program, row, found);
  }
  return program;
}
