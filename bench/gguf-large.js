/**
 * A model larger than the memory it is quantized in: peak resident memory of the whole process with its threads, then the
 * same with kills (SIGKILL) at random moments, gone on with by the same command, and whether the bytes are the same.
 *   node bench/gguf-large.js [--gigabytes 8] [--share 0.5] [--scheme q4_k_m] [--threads N] [--kills 5] [--seed 1] [--folder DIR]
 * So large a share of the tensors has values, the rest are holes in the file, which read as zeros.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import { rng } from "../dist/numeric/rng.js";
import { writeModel } from "./gguf/model.js";
import { ours, timed } from "./gguf/programs.js";

const option = { type: "string" };
const names = ["gigabytes", "share", "scheme", "threads", "kills", "seed", "folder"];
const { values: flags } = parseArgs({ options: Object.fromEntries(names.map((name) => [name, option])) });
const { scheme = "q4_k_m", folder: parent = tmpdir() } = flags;
const threads = Number(flags.threads ?? availableParallelism());
const kills = Number(flags.kills ?? 5);
const folder = mkdtempSync(join(parent, "fewbit-large-"));
const at = (name) => join(folder, name);

async function sumOf(path) {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash);
  return hash.digest("hex");
}

/** Starts the command and kills it after so many seconds; true if it was still at work. */
async function killedAfter(seconds, command) {
  const child = spawn(command[0], command.slice(1), { stdio: "ignore" });
  const ended = new Promise((resolve) => child.on("exit", (_, signal) => resolve(signal === "SIGKILL")));
  await Promise.race([ended, pause(seconds * 1000)]);
  child.kill("SIGKILL");
  return ended;
}

const megabytes = (bytes) => `${(bytes / 1e6).toFixed(0)} MB`;

try {
  const bytes = Number(flags.gigabytes ?? 8) * 1e9;
  const { size } = writeModel(at("model.gguf"), { bytes, share: Number(flags.share ?? 0.5) });
  const whole = timed(ours(at("model.gguf"), at("whole.gguf"), scheme, threads));
  const sum = await sumOf(at("whole.gguf"));
  console.log(
    `${megabytes(size)} to ${scheme}, ${threads} threads: ${whole.seconds.toFixed(1)} s, ${(size / 1e6 / whole.seconds).toFixed(0)} MB/s, peak memory ${whole.megabytes.toFixed(0)} MB`,
  );
  rmSync(at("whole.gguf"));
  const random = rng(Number(flags.seed ?? 1));
  const command = ours(at("model.gguf"), at("again.gguf"), scheme, threads);
  for (let kill = 1; kill <= kills; kill++) {
    const seconds = 0.5 + random.uniform() * (whole.seconds / kills);
    const wasAtWork = await killedAfter(seconds, command);
    const left = readdirSync(folder).filter((name) => name.endsWith(".part"));
    console.log(
      `kill ${kill} after ${seconds.toFixed(1)} s: ${wasAtWork ? "in the middle" : "it had ended"}, ${left.length} unfinished file`,
    );
  }
  const rest = timed(command);
  const equal = (await sumOf(at("again.gguf"))) === sum;
  const files = readdirSync(folder).join(", ");
  console.log(
    `the rest: ${rest.seconds.toFixed(1)} s, peak memory ${rest.megabytes.toFixed(0)} MB; bytes ${equal ? "equal" : "DIFFERENT"}; left in the folder: ${files}`,
  );
  if (!equal) process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
