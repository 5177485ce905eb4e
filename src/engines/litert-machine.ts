/** A running LiteRT: what it prints is caught, and what it prints as an error fails the call. */
import { FewbitError, fail } from "../numeric/errors.ts";
import type { Deletable, LitertPackage, LitertWasm } from "./litert-api.ts";
import { wasmApi } from "./wasm-api.ts";

export interface Machine {
  readonly wasm: LitertWasm;
  readonly environment: Deletable;
  /** True once WebAssembly code trapped: its memory can't be trusted any more. */
  readonly broken: boolean;
  /** Result of a call into WebAssembly. */
  call<T>(action: (wasm: LitertWasm) => T): T;
  /** Throws the errors that the last call printed and did not throw. */
  check(): void;
}

/** Lines kept of what a call prints; a run of thousands of wrong elements would print as many. */
const MAX_LINES = 100;

/** What stands before a message: severity, file and line of the source, and the branch of a nested one. */
const PREFIX = /^(?:ERROR|WARNING|INFO): |^\s*└ |^\[\S+:\d+\]\s*/;

function bare(line: string): string {
  const rest = line.replace(PREFIX, "");
  return rest === line ? line.trim() : bare(rest);
}

const isError = (line: string): boolean => line.startsWith("ERROR");

/** The message that the lines from the first error on make. */
export const printedError = (lines: readonly string[]): string =>
  lines
    .slice(Math.max(0, lines.findIndex(isError)))
    .filter((line) => !/^(?:INFO|WARNING|VERBOSE)/.test(line))
    .map(bare)
    .filter((line) => line !== "")
    .join(" ");

function thrown(cause: unknown, lines: readonly string[]): Error {
  const said = cause instanceof Error ? cause.message : String(cause);
  return new Error(lines.some(isError) ? `${bare(said)} ${printedError(lines)}` : bare(said), { cause });
}

/** Starts a machine; takes about a tenth of a second, and 16 MiB. */
export async function startMachine({ factory, module }: LitertPackage): Promise<Machine> {
  let lines: string[] = [];
  const print = (line: string) => void (lines.length < MAX_LINES && lines.push(line));
  const instantiateWasm: Parameters<typeof factory>[0]["instantiateWasm"] = (imports, done) => {
    void wasmApi.instantiate(module, imports).then((instance) => done(instance, module));
    return {};
  };
  const wasm = await factory({ print, printErr: print, instantiateWasm });
  let broken = false;
  return {
    wasm,
    environment: wasm.LiteRtEnvironment.create(null),
    get broken() {
      return broken;
    },
    call(action) {
      if (broken) fail("engine", "the engine crashed over an earlier model; open the model again");
      lines = [];
      try {
        return action(wasm);
      } catch (cause) {
        if (cause instanceof wasmApi.RuntimeError) broken = true;
        throw cause instanceof FewbitError ? cause : thrown(cause, lines);
      }
    },
    check() {
      if (lines.some(isError)) throw new Error(printedError(lines));
    },
  };
}
