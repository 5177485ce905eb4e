/** The command line as a report may show it: enough to repeat it, nothing about the user's machine. */
import { basename, isAbsolute } from "node:path";

const PLAIN = /^[\w@%+=:,./-]+$/;

const quoted = (word: string): string => (PLAIN.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`);

/** Absolute paths become file names, also behind "--option=". */
function withoutFolders(word: string): string {
  const at = word.startsWith("-") ? word.indexOf("=") + 1 : 0;
  const path = word.slice(at);
  return isAbsolute(path) ? word.slice(0, at) + basename(path) : word;
}

/** "fewbit quantize model.onnx -s w8a8", quoted for a shell. */
export const describeCommand = (argv: readonly string[]): string =>
  ["fewbit", ...argv.map((word) => quoted(withoutFolders(word)))].join(" ");
