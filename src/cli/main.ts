/** Entry of the command line: arguments in, exit code out. Nothing here touches the process. */

import { CommanderError } from "commander";
import { FewbitError } from "../numeric/errors.ts";
import { printable } from "../pipeline/report/format.ts";
import { EXIT } from "./command.ts";
import { describeCommand } from "./command-line.ts";
import { COMMANDS } from "./commands/index.ts";
import type { Io } from "./io.ts";
import { writeJson } from "./json.ts";
import { createProgram, type Invocation } from "./program.ts";
import { createProgress } from "./progress.ts";
import type { Services } from "./services.ts";

export interface Surroundings {
  readonly version: string;
  /** Shows stack traces: FEWBIT_DEBUG=1. */
  readonly debug?: boolean;
  /** Loaded only once there is something to do, so that --help is quick. */
  load(): Promise<Services>;
}

interface Problem {
  readonly exit: number;
  readonly code: string;
  readonly message: string;
}

/** Help and --version end the parser with an error whose exit code is 0; no command at all asks for help too. */
const isHelp = (error: unknown): boolean =>
  error instanceof CommanderError && (error.exitCode === 0 || error.code === "commander.help");

const NO_SPACE = new Set(["ENOSPC", "EDQUOT"]);

/** The operating system's own words, shortened; what it can't tell apart stays "failed". */
function systemMessage(error: Error & { code?: string }): string {
  if (NO_SPACE.has(error.code ?? "")) return `no space left on the device (${error.message})`;
  return error.message;
}

function problemOf(error: unknown, command: string | undefined): Problem {
  if (error instanceof CommanderError) {
    const help = `; see fewbit ${command === undefined ? "" : `${command} `}--help`;
    const message = error.message.replace(/^error: /, "").replace(/\s*\n\s*/g, " ");
    return { exit: EXIT.usage, code: "usage", message: message + help };
  }
  if (error instanceof FewbitError) {
    const exit = error.code === "usage" ? EXIT.usage : error.code === "cancelled" ? EXIT.interrupted : EXIT.failed;
    return { exit, code: error.code, message: error.message };
  }
  if (error instanceof Error) {
    const system = "syscall" in error;
    return { exit: EXIT.failed, code: system ? "io" : "internal", message: systemMessage(error) };
  }
  return { exit: EXIT.failed, code: "internal", message: String(error) };
}

function report(io: Io, problem: Problem, json: boolean): number {
  if (json) writeJson(io, { error: { code: problem.code, message: problem.message } });
  io.stderr.write(`fewbit: ${printable(problem.message).replace(/\s*\n\s*/g, " ")}\n`);
  return problem.exit;
}

const INTERRUPTED: Problem = {
  exit: EXIT.interrupted,
  code: "cancelled",
  message: "interrupted; nothing unfinished was left behind",
};

/** Says that the user stopped it; for a run that can't be waited for. */
export const interrupted = (argv: readonly string[], io: Io): number =>
  report(io, INTERRUPTED, argv.includes("--json"));

async function execute({ command, values, flags }: Invocation, argv: readonly string[], io: Io, around: Surroundings) {
  const services = await around.load();
  const progress = createProgress(io, { quiet: flags.quiet ?? false });
  const json = flags.json ?? false;
  try {
    return await command.run(values, flags, { io, services, progress, json, command: describeCommand(argv) });
  } finally {
    services.cleanup();
  }
}

/** Runs one command line (without the program's own name) and returns its exit code; never throws. */
export async function main(argv: readonly string[], io: Io, around: Surroundings): Promise<number> {
  let invocation: Invocation | undefined;
  const program = createProgram(COMMANDS, around.version, io, (found) => {
    invocation = found;
  });
  const json = (): boolean => invocation?.flags.json ?? argv.includes("--json");
  try {
    if (argv.length === 0) program.outputHelp();
    else program.parse(argv as string[], { from: "user" });
    return invocation === undefined ? EXIT.done : await execute(invocation, argv, io, around);
  } catch (error) {
    if (isHelp(error)) return EXIT.done;
    if (around.debug && error instanceof Error) io.stderr.write(`${error.stack}\n`);
    const known = COMMANDS.find(({ name }) => name === argv[0])?.name;
    return report(io, io.signal.aborted ? INTERRUPTED : problemOf(error, known), json());
  }
}
