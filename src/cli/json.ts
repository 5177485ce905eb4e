/** `--json`: exactly one object on stdout. */
import type { Io } from "./io.ts";

export const writeJson = (io: Io, value: unknown): void => {
  io.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
};
