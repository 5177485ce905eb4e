/**
 * Compiles src/kernels/ggml/assembly (AssemblyScript) and writes the module as base64 into src/kernels/ggml/program.ts.
 * With --check it only says whether that file is what the sources give.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { main } from "assemblyscript/asc";

const FOLDER = new URL("../src/kernels/ggml/", import.meta.url);
const PROGRAM = new URL("program.ts", FOLDER);
/** Pages: 64 KiB of scratch, then values, weights and bytes of one call. Callers with tables add theirs. */
const PAGES = 4;
const LINE = 108;

/**
 * Sources by name: the compiler sees no path, so the module is the same wherever it is built. A line `// @inline` before
 * a function becomes the decorator, which is no TypeScript.
 */
const readFile = (name) => {
  try {
    return readFileSync(new URL(`assembly/${name}`, FOLDER), "utf8").replaceAll("\n// @inline\n", "\n@inline\n");
  } catch {
    return null;
  }
};

async function compile() {
  let binary;
  const { error, stderr } = await main(
    [
      "index.ts",
      "-O3",
      "--converge",
      "--enable",
      "simd",
      "--runtime",
      "stub",
      "--use",
      "abort=",
      "--outFile",
      "program.wasm",
    ].concat(["--importMemory", "--initialMemory", `${PAGES}`, "--memoryBase", "8192", "--disableWarning"]),
    { readFile, writeFile: (_, contents) => (binary = contents), listFiles: () => [] },
  );
  if (error !== null || binary === undefined)
    throw new Error(`AssemblyScript: ${error?.message}\n${`${stderr}`.slice(0, 2000)}`);
  return Buffer.from(binary);
}

function moduleText(binary) {
  const text = binary.toString("base64");
  const lines = text.match(new RegExp(`.{1,${LINE}}`, "g")).map((line) => `  "${line}"`);
  return `/** WebAssembly of assembly/, base64. Made by scripts/build-wasm.js: change the sources and run it again. */\nexport const PROGRAM =\n${lines.join(" +\n")};\n`;
}

const made = moduleText(await compile());
if (!process.argv.includes("--check")) writeFileSync(PROGRAM, made);
else if (readFileSync(PROGRAM, "utf8") !== made) {
  console.error("build-wasm: src/kernels/ggml/program.ts is not what its sources give; run node scripts/build-wasm.js");
  process.exitCode = 1;
}
