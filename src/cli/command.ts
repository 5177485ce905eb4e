/** The contract of commands: each file in commands/ is one row. */
import type { Progress } from "../pipeline/progress.ts";
import type { Io } from "./io.ts";
import type { Services } from "./services.ts";

export interface OptionRow {
  /** "-s, --scheme <names>", as commander reads it. */
  readonly flags: string;
  readonly summary: string;
  /** Turns the text into a value; `previous` is the value so far for options that may be repeated. */
  readonly parse?: (text: string, previous: unknown) => unknown;
  readonly otherwise?: unknown;
  readonly choices?: readonly string[];
  /** Flag (camel case) that can't stand beside this one. */
  readonly conflicts?: string;
}

export interface ArgumentRow {
  /** "<model>", "[model]", "<models...>". */
  readonly name: string;
  readonly summary: string;
}

export interface Context {
  readonly io: Io;
  readonly services: Services;
  readonly progress: Progress;
  /** One JSON object on stdout instead of tables. */
  readonly json: boolean;
  /** The command line as reports show it. */
  readonly command: string;
}

export type Flags = object;

export interface Command {
  readonly name: string;
  readonly summary: string;
  readonly arguments: readonly ArgumentRow[];
  readonly options: readonly OptionRow[];
  /** What is typed after `fewbit`, and what it does. */
  readonly examples: readonly (readonly [string, string])[];
  /** A paragraph for the end of `--help`. */
  readonly details?: string;
  /** `values` holds one entry per argument; returns the exit code. */
  run(values: readonly unknown[], flags: Flags, context: Context): Promise<number>;
}

/** 0 done, 1 failed, 2 wrong usage, 3 the contract was not met, 130 interrupted. */
export const EXIT = { done: 0, failed: 1, usage: 2, contract: 3, interrupted: 130 } as const;
