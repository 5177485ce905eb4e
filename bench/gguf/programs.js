/** The two programs as commands, and what their processes cost. */
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { FILE_TYPES } from "../../dist/recipes/ggml/index.js";

const ROOT = resolve(import.meta.dirname, "../..");

/** The command line as it is installed: in a checkout it would first look whether it has to be built. */
function installed() {
  const folder = mkdtempSync(join(tmpdir(), "fewbit-installed-"));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  mkdirSync(join(folder, "bin"));
  cpSync(join(ROOT, "bin", "fewbit.js"), join(folder, "bin", "fewbit.js"));
  cpSync(join(ROOT, "package.json"), join(folder, "package.json"));
  symlinkSync(join(ROOT, "dist"), join(folder, "dist"));
  return join(folder, "bin", "fewbit.js");
}

const FEWBIT = installed();

/** The command line of fewbit. */
export const ours = (model, output, scheme, threads, options = []) => {
  const asked = ["quantize", model, "-s", scheme, "-o", output, "--threads", String(threads), "--json", "--quiet"];
  return [process.execPath, FEWBIT, ...asked, ...options];
};

/** The command line of the driver of llama-quantize that scripts/peers/llama-quantize.sh builds. */
export const theirs = (driver, model, output, scheme, threads, options = []) => [
  ...[driver, model, output, String(FILE_TYPES[scheme].id), String(threads)],
  ...options,
];

/** Seconds of a whole process, its seconds of CPU and its peak of resident megabytes, as GNU time tells them. */
export function timed(command) {
  const { status, stderr } = spawnSync("/usr/bin/time", ["-f", "%e %U %S %M", ...command], { encoding: "utf8" });
  if (status !== 0) throw new Error(`${command.join(" ")}: ${stderr}`);
  const [seconds, user, system, kilobytes] = stderr.trim().split("\n").at(-1).split(" ").map(Number);
  return { seconds, cpu: user + system, megabytes: kilobytes / 1000 };
}

export const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];
