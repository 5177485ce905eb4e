/**
 * stories260K by fewbit and by llama-quantize (scripts/peers/llama-quantize.sh): sums of the files, and perplexity of both
 * through llama.cpp on the text beside the model, in windows of 256 tokens.
 *   node bench/stories-gguf.js DRIVER [FOLDER]
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openLlama, openWeights, writeWeights } from "../dist/node/index.js";
import { noHooks } from "../dist/pipeline/index.js";
import { perplexityOf, windowsOf } from "../dist/pipeline/language/index.js";
import { planWeights, quantizeWeights } from "../dist/pipeline/weights/index.js";
import { FILE_TYPES } from "../dist/recipes/ggml/index.js";
import { printTable } from "./tools.js";

const [driver, data = "../shared/data/stories260K"] = process.argv.slice(2);
if (driver === undefined) throw new Error("name the driver that scripts/peers/llama-quantize.sh builds");
const SCHEMES = ["f32", "f16", "q8_0", "q5_1", "q4_1", "q4_0"];
const CONTEXT = 256;
const source = join(data, "stories260K_f32.gguf");
const text = readFileSync(join(data, "text.txt"), "utf8");
const folder = mkdtempSync(join(tmpdir(), "fewbit-stories-"));
const { engine, reason } = openLlama();
if (engine === undefined) throw new Error(reason);

const sum = (path) => createHash("sha256").update(readFileSync(path)).digest("hex").slice(0, 16);

async function perplexity(path) {
  const session = await engine.open({ path }, { context: CONTEXT });
  try {
    return await perplexityOf(session, await windowsOf(session, { origin: "text.txt", text }), noHooks);
  } finally {
    await session.close();
  }
}

async function byFewbit(scheme) {
  const path = join(folder, `${scheme}.fewbit.gguf`);
  const { weights, close } = await openWeights(source);
  const { file } = await quantizeWeights(weights, planWeights(weights, scheme));
  await writeWeights(file, path);
  await close();
  return path;
}

function byDriver(scheme) {
  const path = join(folder, `${scheme}.llama.gguf`);
  const { status, stderr } = spawnSync(driver, [source, path, String(FILE_TYPES[scheme].id), "1"], {
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(stderr);
  return path;
}

const rows = [];
for (const scheme of SCHEMES) {
  const [own, other] = [await byFewbit(scheme), byDriver(scheme)];
  const [ours, theirs] = [await perplexity(own), await perplexity(other)];
  rows.push({
    scheme,
    ...{ fewbit: sum(own), "llama-quantize": sum(other), equal: sum(own) === sum(other) ? "yes" : "NO" },
    ...{
      perplexity: ours.value.toFixed(4),
      "of llama-quantize's": theirs.value.toFixed(4),
      error: ours.error.toFixed(3),
    },
  });
}
printTable(rows);
rmSync(folder, { recursive: true });
