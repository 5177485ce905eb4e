/**
 * Whole files of fewbit quantize and llama-quantize, byte by byte, of made-up llama models in float32 and float16.
 *   node bench/gguf-equal.js DRIVER [--megabytes 200] [file type ...]
 * DRIVER is built by scripts/peers/llama-quantize.sh. Exit code 1 where a file differs.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { writeImportance, writeModel } from "./gguf/model.js";
import { ours, theirs, timed } from "./gguf/programs.js";

const TYPES = ["q8_0", "q4_0", "q4_k_m", "q5_k_m", "q6_k", "q3_k_m", "q2_k", "iq4_xs", "iq3_xxs"];
/** Made with importance. */
const WEIGHTED = /^iq[123]/;

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: { megabytes: { type: "string" } },
});
const [driver, ...wanted] = positionals;
if (driver === undefined)
  throw new Error("name the driver of llama-quantize; scripts/peers/llama-quantize.sh builds it");
const folder = mkdtempSync(join(tmpdir(), "fewbit-equal-"));
const at = (name) => join(folder, name);
try {
  for (const type of ["float32", "float16"]) {
    const { size, shapes } = writeModel(at("model.gguf"), { bytes: Number(flags.megabytes ?? 200) * 1e6, type });
    const measured = shapes.filter(([name]) => name.startsWith("blk."));
    const importance = writeImportance(measured, at("importance.dat"), at("importance.bin"));
    console.log(`model of ${(size / 1e6).toFixed(0)} MB in ${type}`);
    for (const scheme of wanted.length > 0 ? wanted : TYPES) {
      const weighted = WEIGHTED.test(scheme);
      const own = timed(
        ours(at("model.gguf"), at("own.gguf"), scheme, 2, weighted ? ["--imatrix", at("importance.dat")] : []),
      );
      const foreign = timed(
        theirs(driver, at("model.gguf"), at("foreign.gguf"), scheme, 2, weighted ? importance : []),
      );
      const [a, b] = [readFileSync(at("own.gguf")), readFileSync(at("foreign.gguf"))];
      const equal = a.equals(b);
      if (!equal) process.exitCode = 1;
      console.log(
        `${scheme}${weighted ? " with importance" : ""}: ${equal ? "equal" : "DIFFERENT"}, ${(a.length / 1e6).toFixed(1)} MB, fewbit ${own.seconds.toFixed(1)} s, llama-quantize ${foreign.seconds.toFixed(1)} s (two threads)`,
      );
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
