/**
 * What the process that runs a GGUF model runs, as CommonJS text for `node -e`: Node 20 can't run TypeScript, and a file
 * of its own would exist in compiled form only. One process holds one model, so that ggml's way to end on a broken file
 * ends nothing else, and its memory is that of the model. It uses node-llama-cpp's binary without the package's own
 * scripts, which take seconds to start, know ways to download and build, and tokenize on files without a vocabulary.
 */
import { MEMORY_SCRIPT } from "./probe-script.ts";

const JOBS = `
let model, context, sampler, base, load, size, batch, done;
let said = [];

const SAID_LINES = 20;
/** Errors, by the binding's number of that level. */
const ERROR_LEVEL = 2;
const logger = (level, message) => {
  said.push(String(message).trim());
  said = said.slice(-SAID_LINES);
};

/** Messages of other threads arrive after the call that they explain. */
const settle = () => new Promise((resolve) => setTimeout(resolve, 50));

const told = async (error) => {
  await settle();
  return { error: String(error?.message ?? error), said: said.splice(0) };
};

const loaded = (ok, what) => {
  if (!ok) throw new Error(what);
};

/** Takes tokens in behind those that are there; "wanted" are the places whose logits will be asked for. */
const decode = async (tokens, wanted) => {
  context.initBatch(tokens.length);
  const places = context.addToBatch(0, done, Uint32Array.from(tokens), Uint32Array.from(wanted));
  await context.decodeBatch();
  done += tokens.length;
  return places;
};

const forget = () => {
  context.disposeSequence(0);
  done = 0;
};

/** Logits of one place into a row; the binding gives pairs of token and logit in order of size. */
const readRow = async (place, into, start) => {
  const [, , , pairs] = await context.sampleToken(place, sampler, false, false, true);
  for (let i = 0; i < pairs.length; i += 2) into[start + pairs[i]] = pairs[i + 1];
  return pairs.length / 2;
};

/** Runs tokens behind those that were; answers the logits from place "first" on. */
const evaluate = async (tokens, first) => {
  const rows = new Float32Array(Math.max(0, tokens.length - first) * size);
  for (let from = 0; from < tokens.length; from += batch) {
    const part = tokens.subarray(from, from + batch);
    const wanted = Array.from(part.keys()).filter((at) => from + at >= first);
    const places = await decode(part, wanted);
    for (const [nth, at] of wanted.entries()) await readRow(places[nth], rows, (from + at - first) * size);
  }
  return rows;
};

/** Runs tokens and answers the likeliest next one. */
const answerTo = async (tokens) => {
  let place;
  for (let from = 0; from < tokens.length; from += batch) {
    const part = tokens.subarray(from, from + batch);
    [place] = await decode(part, [part.length - 1]);
  }
  return context.sampleToken(place, sampler);
};

const LONGEST = 512;
let likeliest = 0;

/** By the binding's number; of others texts are read. */
const NO_VOCABULARY = 0;

const JOB = {
  async open({ binary, path, context: wanted, threads, check }) {
    const binding = require(binary);
    binding.setLogger(logger);
    binding.setLoggerLogLevel(ERROR_LEVEL);
    binding.loadBackends();
    binding.loadBackends(require("node:path").dirname(binary));
    await binding.init();
    await settle();
    base = resident();
    forgetPeak();
    const began = performance.now();
    model = new binding.AddonModel(path, { addonExports: binding, gpuLayers: 0, useMmap: true, checkTensors: check });
    loaded(await model.init(), "the engine can't load it");
    const trained = Math.max(2, model.getTrainContextSize() || LONGEST);
    const contextSize = wanted ?? Math.min(trained, LONGEST);
    batch = Math.min(contextSize, LONGEST);
    context = new binding.AddonContext(model, { contextSize, batchSize: batch, sequences: 1, threads, flashAttention: "auto" });
    loaded(await context.init(), "the engine can't make room for a window of " + contextSize + " tokens");
    load = performance.now() - began;
    sampler = new binding.AddonSampler(model);
    sampler.applyConfig({ temperature: 0 });
    const hasTokenizer = model.getVocabularyType() !== NO_VOCABULARY;
    const begin = hasTokenizer && model.shouldPrependBosToken() && model.tokenBos() >= 0 ? model.tokenBos() : undefined;
    done = 0;
    const [place] = await decode([begin ?? 0], [0]);
    size = await readRow(place, [], 0);
    return { vocabulary: size, context: contextSize, hasTokenizer, begin };
  },
  tokenize({ text }) {
    const before = model.shouldPrependBosToken() && model.tokenBos() >= 0 ? [model.tokenBos()] : [];
    const behind = model.shouldAppendEosToken() && model.tokenEos() >= 0 ? [model.tokenEos()] : [];
    return Int32Array.from([...before, ...model.tokenize(text, false), ...behind]);
  },
  async start({ tokens, first }) {
    forget();
    return evaluate(tokens, first);
  },
  proceed: ({ tokens }) => evaluate(tokens, 0),
  async prompt({ tokens }) {
    forget();
    likeliest = await answerTo(tokens);
  },
  async generate({ count }) {
    for (let left = count; left > 0; left--) likeliest = await answerTo(Int32Array.of(Math.max(0, likeliest)));
  },
  async memory() {
    const now = resident(base.files);
    return { resident: Math.max(0, own(now) - own(base)), peak: Math.max(0, peak() - now.code - own(base)), load };
  },
};

/** One after the other: a model has one window. */
let last = Promise.resolve();
process.on("message", ({ id, job, ...rest }) => {
  last = last
    .then(() => JOB[job](rest))
    .then((answer) => ({ answer }), told)
    .then((result) => process.send({ id, ...result }));
});
process.on("disconnect", () => process.exit());
`;

/** The whole script. */
export const LLAMA_SCRIPT = `${MEMORY_SCRIPT}${JOBS}`;
