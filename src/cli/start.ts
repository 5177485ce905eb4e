/** The one place where the command line meets the process: streams, signals, exit. */
import { readFileSync } from "node:fs";
import { EXIT } from "./command.ts";
import type { Io } from "./io.ts";
import { interrupted, main } from "./main.ts";
import type { Services } from "./services.ts";

/** Engines may be deep in a run when the user interrupts; after this long nobody waits for them. */
const GRACE_MS = 1500;
const DEFAULT_COLUMNS = 80;

const version = (): string =>
  (JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as { version: string }).version;

const debug = (): boolean => process.env.FEWBIT_DEBUG === "1";

/** NO_COLOR (no-color.org) and TERM=dumb mean what they say. */
const terminal = (stream: NodeJS.WriteStream): boolean => Boolean(stream.isTTY) && process.env.TERM !== "dumb";
const color = (): boolean => terminal(process.stdout) && !process.env.NO_COLOR;

function processIo(signal: AbortSignal): Io {
  return {
    stdout: process.stdout,
    stderr: process.stderr,
    isTTY: terminal(process.stderr),
    get columns() {
      return process.stderr.columns || process.stdout.columns || DEFAULT_COLUMNS;
    },
    get width() {
      return process.stdout.isTTY ? process.stdout.columns || DEFAULT_COLUMNS : Number.POSITIVE_INFINITY;
    },
    color: color(),
    signal,
  };
}

/** The last resort for what no command could catch: one line, no stack. */
function giveUp(error: unknown): never {
  const text = error instanceof Error ? (debug() ? error.stack : error.message) : String(error);
  process.stderr.write(`fewbit: ${text}\n`);
  process.exit(EXIT.failed);
}

/** A reader that has seen enough (`| head`) is no failure: the work goes on, its words are dropped. */
function watchStreams(): void {
  for (const stream of [process.stdout, process.stderr])
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE") giveUp(error);
    });
  process.on("uncaughtException", giveUp);
}

/** Waits until everything written has left the process, so that exiting cuts nothing off. */
const flushed = (stream: NodeJS.WriteStream): Promise<void> =>
  new Promise((resolve) => {
    if (stream.destroyed || stream.writableEnded) resolve();
    else stream.write("", () => resolve());
  });

async function exit(code: number): Promise<never> {
  await Promise.all([flushed(process.stdout), flushed(process.stderr)]);
  process.exit(code);
}

/** Runs the command line of this process. The first Ctrl-C stops it in order, the second at once. */
export async function start(): Promise<never> {
  watchStreams();
  const stop = new AbortController();
  let services: Services | undefined;
  const onSignal = (): void => {
    services?.cleanup();
    if (stop.signal.aborted) process.exit(EXIT.interrupted);
    stop.abort();
  };
  for (const name of ["SIGINT", "SIGTERM"] as const) process.on(name, onSignal);
  const impatient = new Promise<void>((resolve) => {
    stop.signal.addEventListener("abort", () => setTimeout(resolve, GRACE_MS));
  });
  const io = processIo(stop.signal);
  const work = main(process.argv.slice(2), io, {
    version: version(),
    debug: debug(),
    load: async () => {
      services = await import("../node/services.ts");
      return services;
    },
  });
  const late = impatient.then(() => {
    services?.cleanup();
    return interrupted(process.argv.slice(2), io);
  });
  return exit(await Promise.race([work, late]));
}
