// @ts-check
/** Quantizes a model in the page: bytes in, bytes out. A worker would keep the page responsive; see docs/schemes.md for speed. */
import {
  bytesSource,
  drawCharacters,
  FewbitError,
  listSchemes,
  make,
  memoryDataset,
  noHooks,
  plainRecipe,
  randomDataset,
  readOnnx,
  realInputs,
  schemeNamed,
} from "fewbit";
import { sha256, webHost } from "fewbit/web";
import { learn } from "./learn.js";
import { GGUF_CHOICES, quantizeGguf } from "./weights.js";

/** @param {string} id */
const element = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
const choice = /** @type {HTMLSelectElement} */ (element("scheme"));
/** @param {string} line */
const say = (line) => element("log").append(`${line}\n`);

for (const { name, summary } of listSchemes()) choice.append(new Option(`${name}: ${summary}`, name));
for (const name of GGUF_CHOICES) choice.append(new Option(`${name} (GGUF)`, name));

/**
 * Samples: drawn characters for the demo's model, made-up values for others, which say nothing about accuracy.
 * @param {import("fewbit").Model} model
 * @param {boolean} isDemo
 */
function samplesFor(model, isDemo) {
  if (!isDemo) return { data: randomDataset(realInputs(model.graph), { samples: 8 }), random: true };
  const { images, labels } = drawCharacters({ seed: 2, count: 200 });
  return { data: memoryDataset(model, { image: images }, "drawn characters"), labels, random: false };
}

/**
 * @param {string} name
 * @param {Uint8Array} bytes
 * @param {boolean} isDemo
 */
async function quantize(name, bytes, isDemo) {
  const model = await readOnnx(bytesSource(bytes));
  const { random, ...evaluation } = samplesFor(model, isDemo);
  const { staged, verified } = await make(
    await webHost(),
    {
      model,
      digest: await sha256(bytes),
      reference: { name, place: { bytes }, size: bytes.length },
      recipe: plainRecipe(schemeNamed(choice.value)),
      name: name.replace(/(\.onnx)?$/, `.${choice.value}.onnx`),
      calibration: evaluation.data,
      evaluation: { metrics: [], ...evaluation },
      random,
    },
    { ...noHooks, progress: { step: (title) => ({ tick() {}, done: () => say(title) }), note: say } },
  );
  const { size, latency, outputs, metrics, findings } = verified;
  say(`${size.before} -> ${size.after} bytes (${size.ratio.toFixed(2)}x), ${latency?.ratio.toFixed(2)}x faster here`);
  for (const output of outputs) say(`${output.name}: cosine ${output.cosine.toFixed(6)}`);
  if (metrics.top1) say(`top-1 ${metrics.top1.before} -> ${metrics.top1.after}`);
  for (const { severity, message } of findings) say(`${severity}: ${message}`);
  const { bytes: content } = /** @type {import("fewbit/web").StagedBytes} */ (staged).place;
  offer(staged.files[0]?.name ?? name, new Blob([/** @type {Uint8Array<ArrayBuffer>} */ (content)]));
}

/** @param {File} file */
async function quantizeWeightsOf(file) {
  const wish = GGUF_CHOICES.includes(choice.value) ? choice.value : "q4_k_m";
  const name = file.name.replace(/\.gguf$/, `.${wish.replace(" ", "")}.gguf`);
  const { plan, blob } = await quantizeGguf(file, wish, name);
  say(`${wish}: ${file.size} -> ${blob.size} bytes, ${plan.tensors.length} tensors`);
  offer(name, blob);
}

/**
 * @param {string} name
 * @param {Blob} blob
 */
function offer(name, blob) {
  const link = /** @type {HTMLAnchorElement} */ (element("download"));
  URL.revokeObjectURL(link.href);
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.textContent = `Download ${name}`;
  link.hidden = false;
}

/** Runs something that says how it goes, and marks the page when it is over. @param {() => Promise<void>} work */
async function start(work) {
  element("log").textContent = "";
  delete document.body.dataset.done;
  try {
    await work();
  } catch (error) {
    say(error instanceof FewbitError ? `${error.code}: ${error.message}` : String(error));
  }
  document.body.dataset.done = "yes";
}

/** @param {Blob | Response} from */
const bytesOf = async (from) => new Uint8Array(await from.arrayBuffer());

element("file").addEventListener("change", (event) => {
  const file = /** @type {HTMLInputElement} */ (event.target).files?.[0];
  if (file?.name.endsWith(".gguf")) start(() => quantizeWeightsOf(file));
  else if (file) start(async () => quantize(file.name, await bytesOf(file), false));
});
element("demo").addEventListener("click", () => {
  start(async () => quantize("characters.onnx", await bytesOf(await fetch("/demo/characters.onnx")), true));
});
element("train").addEventListener("click", () => {
  start(async () => {
    const losses = await learn(await webHost());
    say(`loss ${losses[0]} -> ${losses.at(-1)} in ${losses.length} steps`);
  });
});
