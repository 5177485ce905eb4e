/** In Node, ONNX Runtime's WebAssembly build prints with `fs.writeSync`; there is no other way to its profile. */
import fs from "node:fs";

/** What `action` prints to standard output with `fs.writeSync`. It must be synchronous, so nothing else runs meanwhile. */
export function captured(action: () => void): string {
  const { writeSync } = fs;
  const lines: string[] = [];
  fs.writeSync = ((file: number, text: string, ...rest: []) =>
    file === 1 ? lines.push(String(text)) : writeSync(file, text, ...rest)) as typeof writeSync;
  try {
    action();
  } finally {
    fs.writeSync = writeSync;
  }
  return lines.join("");
}
