/** fewbit quantize for one model file: every scheme asked for, each run before it is handed over. */
import { readFile, stat } from "node:fs/promises";
import { basename, dirname, extname, join, relative } from "node:path";
import type { Dataset } from "../containers/data.ts";
import { opTypes } from "../ir/edit.ts";
import type { GraphContainer, Model } from "../ir/model.ts";
import type { Stats } from "../ir/stats.ts";
import { FewbitError, fail } from "../numeric/errors.ts";
import { observerNamed } from "../observers/index.ts";
import { formatStats, parseStats } from "../observers/stats-json.ts";
import { fixBatch } from "../passes/fix-batch.ts";
import { checkStats } from "../pipeline/calibrate.ts";
import { contractOf, recommend } from "../pipeline/contract.ts";
import { listSchemes } from "../pipeline/list-schemes.ts";
import { brokenPromise, type Made, make, planFor } from "../pipeline/make.ts";
import { takeGrids } from "../pipeline/prepare.ts";
import type { Hooks } from "../pipeline/progress.ts";
import type { Candidate, DryRun, Finding, QuantizeReport } from "../pipeline/result.ts";
import type { Evaluation } from "../pipeline/verify/outputs.ts";
import type { NamedScheme } from "../recipes/named-scheme.ts";
import { DEFAULT_OBSERVER, parseRecipe, type Recipe, type Rule } from "../recipes/recipe.ts";
import { schemeNamed } from "../recipes/schemes.ts";
import { forModel, transformersJsScheme } from "../recipes/transformers-js.ts";
import { ignoredSettings, type Settings, tune } from "../recipes/tune.ts";
import { makeFolders, removeEmptyFolders } from "./folders.ts";
import { type NodeHost, nodeHost } from "./host.ts";
import { withIoErrors } from "./io-errors.ts";
import { checkTarget, EXTENSIONS } from "./output-checks.ts";
import { engineFindings, reportHead, secondsSince } from "./report-head.ts";
import type { KeepRule, QuantizeRequest } from "./requests.ts";
import { openEvaluation, openSamples, type Samples, summaryOf } from "./samples.ts";
import { refuseSource, type StagedFiles } from "./stage.ts";
import { openLegalSource, type SourceModel } from "./surroundings.ts";
import { writeText } from "./write-text.ts";

/** Everything that is the same for all schemes of one request. */
interface Job {
  readonly request: QuantizeRequest;
  readonly source: SourceModel;
  readonly host: NodeHost;
  readonly hooks: Hooks;
  readonly rules: readonly Rule[];
  readonly calibration: Samples | undefined;
  readonly evaluation: Awaited<ReturnType<typeof openEvaluation>>;
  readonly folder?: InFolder;
  readonly make: Maker;
}

/** From a model and a recipe to a model that was run: quantized as it is, or trained on the way. */
export type Maker = typeof make;

/** What a transformers.js folder adds to the request for one of its models. */
export interface InFolder {
  /** Of config.json. */
  readonly modelType?: string;
  /** Takes a finished model that will be put in its place, or not, once all models of the folder are made. */
  hold(scheme: string, staged: StagedFiles): void;
}

/** What a name stands for: `fp16` has rules of its own in a transformers.js folder. */
const schemeOf = (name: string, container: GraphContainer, folder: InFolder | undefined): NamedScheme =>
  folder ? transformersJsScheme(name) : schemeNamed(name, container);

const MAX_RECIPE_BYTES = 16 * 1024 * 1024;

/** Samples that are in memory already, in place of those a request names. */
export interface GivenSamples {
  readonly calibration?: Samples;
  readonly evaluation?: Evaluation;
}

interface Given {
  readonly samples?: GivenSamples;
  readonly folder?: InFolder;
  /** Post-training quantization unless told. */
  readonly make?: Maker;
}

/** Makes, runs and writes one model per scheme; see `QuantizeReport` for what comes back. */
export async function quantizeFile(request: QuantizeRequest, hooks: Hooks, given: Given = {}): Promise<QuantizeReport> {
  const start = performance.now();
  const source = await openRequested(request);
  try {
    const schemes = await chosenSchemes(request, source.model, given.samples?.calibration !== undefined);
    const outputs = outputPaths(request, schemes.names, source.model.container, given.folder);
    for (const path of outputs.values()) await checkOutput(path);
    const target = dirname([...outputs.values()][0]!);
    const job = await openJob(request, source, hooks, given, target);
    const results = await makeAllIn(job, outputs, target);
    return report(job, results, [...schemes.findings, ...engineFindings(job.host)], start);
  } finally {
    await source.close();
  }
}

/** The plans of the same request; nothing is calibrated or written. */
export async function planFile(request: QuantizeRequest, hooks: Hooks): Promise<DryRun> {
  const source = await openRequested(request);
  try {
    const schemes = await chosenSchemes(request, source.model);
    const host = await nodeHost(request, hooks.signal, undefined, source.model.container);
    const rules = await rulesOf(request);
    const onlyGiven = request.calibration === undefined && request.stats === undefined;
    const plans = [];
    for (const name of schemes.names) {
      const recipe = { ...recipeFor(request, rules, name, source.model), onlyGiven };
      plans.push((await planFor(source.model, recipe, host)).plan);
    }
    return { model: source.summary, plans, findings: schemes.findings };
  } finally {
    await source.close();
  }
}

/** The model, for the batch asked for where it leaves that open. */
async function openRequested({ model: path, batch }: QuantizeRequest): Promise<SourceModel> {
  const source = await openLegalSource(path);
  if (batch === undefined) return source;
  try {
    return { ...source, model: withBatch(source.model, batch) };
  } catch (error) {
    await source.close();
    throw error;
  }
}

function withBatch(model: Model, batch: number): Model {
  if (model.container !== "tflite")
    fail("usage", "--batch fixes the open batch of TFLite models; ONNX models are run with any batch, leave it out");
  const other = model.graph.inputs.find(({ shape = [] }) => typeof shape[0] === "number" && shape[0] !== batch);
  if (other !== undefined)
    fail(
      "usage",
      `--batch ${batch}: input "${other.name}" is [${other.shape!.map((dim) => dim ?? "?").join(", ")}], its batch is fixed already; leave --batch out, or export the model with an open batch`,
    );
  return fixBatch(model, batch);
}

/** Before anything is computed: nothing of the user's is in the way. */
async function checkOutput(path: string): Promise<void> {
  await refuseSource(path);
  await checkTarget(path);
}

async function openJob(
  request: QuantizeRequest,
  source: SourceModel,
  hooks: Hooks,
  { samples, folder, make: maker = make }: Given,
  target: string,
): Promise<Job> {
  const rules = await rulesOf(request);
  const calibration =
    samples?.calibration ?? (request.calibration && (await openSamples(request.calibration, source.model)));
  const evaluation = samples?.evaluation
    ? { evaluation: samples.evaluation, random: samples.evaluation.data.random === true }
    : await openEvaluation(request.evaluation, calibration, source.model);
  if (request.maxDrop !== undefined && evaluation.random)
    fail("usage", "--max-drop needs real samples to hold the model to; give them with --data");
  const host = await nodeHost(request, hooks.signal, target, source.model.container);
  for (const sentence of host.notes) hooks.progress.note(sentence);
  const own = { calibration, evaluation, make: maker, ...(folder ? { folder } : {}) };
  return { request, source, host, hooks, rules, ...own };
}

/** The schemes asked for, of the recipe, or one that needs nothing the user did not give. */
async function chosenSchemes(request: QuantizeRequest, model: Model, given = false) {
  if (request.schemes.length > 0) return { names: request.schemes, findings: [] };
  const named = request.recipe === undefined ? undefined : (await readRecipe(request.recipe)).scheme;
  if (named !== undefined) return { names: [named], findings: [] };
  const samples = given || request.calibration !== undefined || request.stats !== undefined;
  const grids = !samples && (await HOLDS_GRIDS[model.container](model));
  const name = samples || grids ? "w8a8" : WITHOUT_SAMPLES[model.container](opTypes(model));
  const why = samples
    ? "samples to calibrate with were given"
    : grids
      ? "the model holds scales and zero points of its own"
      : "no samples to calibrate with were given";
  const message = `no scheme was named, so ${name} was taken: ${why}`;
  return { names: [name], findings: [{ severity: "info", code: "default-scheme", message }] satisfies Finding[] };
}

/** Whether a model brings scales for integers along: some in ONNX, where the rest stays in float; all that TFLite's take. */
const HOLDS_GRIDS: Readonly<Record<GraphContainer, (model: Model) => boolean | Promise<boolean>>> = {
  onnx: (model) => opTypes(model).has("QuantizeLinear"),
  tflite: async (model) =>
    listSchemes(await takeGrids(model)).some(({ name, needsData }) => name === "w8a8" && !needsData),
};

/** The scheme of models without samples; convolutions of ONNX Runtime gain nothing from ranges found in each run. */
const WITHOUT_SAMPLES: Readonly<Record<GraphContainer, (ops: ReadonlySet<string>) => string>> = {
  onnx: (ops) => (ops.has("Conv") ? "w8" : "w8a8-dynamic"),
  tflite: () => "w8a8-dynamic",
};

/** Where each scheme's model goes: `-o FILE` for one, a folder for several, beside the model without `-o`. */
export function outputPaths(
  { model, output, schemes }: QuantizeRequest,
  names: readonly string[],
  container: GraphContainer,
  inside?: InFolder,
): ReadonlyMap<string, string> {
  const stem = basename(model, extname(model));
  const extension = EXTENSIONS[container];
  const fileName = (name: string): string =>
    `${stem}${schemeOf(name, container, inside).suffix ?? `.${name}`}${extension}`;
  const folder = output === undefined ? dirname(model) : output;
  const single = names.length === 1 && output !== undefined && extname(output) !== "";
  if (!single && extname(folder) === extension)
    fail("usage", `-o ${output} names one file for ${schemes.length} schemes; name a folder instead`);
  return new Map(names.map((name) => [name, single ? output : join(folder, fileName(name))]));
}

const keepMatch: { readonly [K in KeepRule["kind"]]: (rule: Extract<KeepRule, { kind: K }>) => Rule["match"] } = {
  regex: ({ pattern }) => ({ pattern: pattern.source }),
  op: ({ name }) => ({ op: [name] }),
  node: ({ name }) => ({ node: [name] }),
};

const keepRule = (rule: KeepRule): Rule => ({ match: keepMatch[rule.kind](rule as never), scheme: "keep" });

const endsRule = (scheme: string): Rule => ({ match: { ends: true }, scheme, reason: "first or last layer" });

async function rulesOf({ recipe, keep, ends }: QuantizeRequest): Promise<readonly Rule[]> {
  const fromFile = recipe === undefined ? [] : (await readRecipe(recipe)).rules;
  return [...(ends === undefined ? [] : [endsRule(ends)]), ...fromFile, ...keep.map(keepRule)];
}

const readRecipe = (path: string) =>
  withIoErrors("read", path, async () => {
    const { size } = await stat(path);
    if (size > MAX_RECIPE_BYTES) fail("limit", `${path}: ${size} bytes; a recipe has at most ${MAX_RECIPE_BYTES}`);
    return parseRecipe(await readFile(path, "utf8"), path);
  });

/** The scheme with the user's settings and the model's own facts. */
export function recipeFor(
  request: QuantizeRequest,
  rules: readonly Rule[],
  name: string,
  model: Model,
  folder?: InFolder,
): Recipe {
  const settings = settingsOf(request);
  const observer = observerNamed(request.observer ?? DEFAULT_OBSERVER).name;
  const ops = opTypes(model);
  const facts = { ops, ...(folder?.modelType === undefined ? {} : { modelType: folder.modelType }) };
  return {
    scheme: forModel(tune(schemeOf(name, model.container, folder), settings), facts),
    rules,
    tune: (scheme) => tune(scheme, settings),
    observer,
  };
}

const settingsOf = ({
  activations,
  weights,
  groupSize,
  algorithm,
  embeddings,
  reduceRange,
  io,
}: QuantizeRequest): Settings => ({
  embeddings,
  ...(io ? { io } : {}),
  ...(activations ? { activations } : {}),
  ...(weights ? { weights } : {}),
  ...(groupSize ? { groupSize } : {}),
  ...(algorithm ? { algorithm } : {}),
  ...(reduceRange ? { reduceRange } : {}),
});

/** Settings that were given and change nothing about this scheme. */
function ignored(request: QuantizeRequest, { scheme }: Recipe): readonly Finding[] {
  const observer = request.observer !== undefined && scheme.static === undefined ? ["observer"] : [];
  return [...ignoredSettings(scheme, settingsOf(request)), ...observer].map((name) => ({
    severity: "info",
    code: "setting-ignored",
    message: `setting "${name}" changes nothing about ${scheme.name}`,
  }));
}

interface Results {
  readonly candidates: readonly Candidate[];
  readonly refused: QuantizeReport["refused"];
}

/** Makes the folder for the results; it does not stay when nothing is put into it. */
async function makeAllIn(job: Job, outputs: ReadonlyMap<string, string>, target: string): Promise<Results> {
  const made = await makeFolders(target);
  try {
    return await makeAll(job, outputs);
  } finally {
    await removeEmptyFolders(made);
  }
}

/** One failure among several schemes is a line of the report; when all fail, the first one is the answer. */
async function makeAll(job: Job, outputs: ReadonlyMap<string, string>): Promise<Results> {
  const candidates: Candidate[] = [];
  const refused: QuantizeReport["refused"][number][] = [];
  let firstError: FewbitError | undefined;
  let stats = await savedStats(job);
  for (const [name, output] of outputs) {
    try {
      const made = await makeOne(job, name, output, stats);
      stats ??= made.stats;
      candidates.push(made.candidate);
    } catch (error) {
      if (!(error instanceof FewbitError) || outputs.size === 1 || ["cancelled", "io"].includes(error.code))
        throw error;
      firstError ??= error;
      refused.push({ scheme: name, code: error.code, reason: error.message });
    }
  }
  if (candidates.length === 0 && firstError) throw firstError;
  await saveStats(job, stats);
  return { candidates, refused };
}

async function makeOne(job: Job, name: string, output: string, stats: Stats | undefined) {
  const { request, source, host, hooks, rules, calibration, evaluation, folder } = job;
  const start = performance.now();
  const recipe = recipeFor(request, rules, name, source.model, folder);
  const { name: original, size } = source.summary;
  // an original that takes its batch in one run too, or the comparison would be about that
  await using resized = request.batch === undefined ? undefined : await host.stage(source.model, original);
  const reference = { name: original, place: resized?.place ?? { path: source.path }, size };
  const input = {
    model: source.model,
    digest: source.summary.sha256,
    reference,
    recipe,
    name: basename(output),
    ...evaluation,
    ...(calibration ? { calibration: calibration.data as Dataset } : {}),
    ...(stats ? { stats } : {}),
  };
  const made = await job.make(host, input, hooks);
  const candidate = await handOver(job, name, output, made, start);
  const findings = [...candidate.findings, ...ignored(request, recipe)];
  return { candidate: { ...candidate, findings }, stats: made.stats };
}

/** Puts the model in its place if it kept its promises; else removes it and says so. */
async function handOver(
  { request, folder }: Job,
  name: string,
  output: string,
  { staged, verified }: Made,
  start: number,
): Promise<Candidate> {
  const contract = request.maxDrop === undefined ? undefined : contractOf(verified, request.maxDrop);
  const broken = brokenPromise(verified) !== undefined;
  const keep = !broken && (contract?.met !== false || request.force);
  if (!keep) await staged[Symbol.asyncDispose]();
  else if (folder) folder.hold(name, staged as StagedFiles);
  else await (staged as StagedFiles).commit();
  return {
    scheme: name,
    ...(keep ? { output: relative(".", output) || output } : {}),
    files: keep ? staged.files : [],
    ...verified,
    ...(contract ? { contract } : {}),
    seconds: secondsSince(start),
  };
}

async function savedStats({ request, source }: Job): Promise<Stats | undefined> {
  const { stats: path } = request;
  if (path === undefined || !(await exists(path))) return undefined;
  const text = await withIoErrors("read", path, () => readFile(path, "utf8"));
  try {
    const stats = parseStats(text);
    checkStats(stats, source.summary.sha256);
    return stats;
  } catch (error) {
    if (!(error instanceof FewbitError)) throw error;
    return fail(error.code, `${path}: ${error.message}`, error);
  }
}

async function saveStats({ request }: Job, stats: Stats | undefined): Promise<void> {
  if (request.stats === undefined || stats === undefined || (await exists(request.stats))) return;
  await writeText(request.stats, formatStats(stats));
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

function report(
  job: Job,
  { candidates, refused }: Results,
  findings: readonly Finding[],
  start: number,
): QuantizeReport {
  const { request, source, host, calibration, evaluation } = job;
  const best = recommend(candidates, evaluation.random);
  return {
    ...reportHead(request, host, source.summary, start),
    kind: "quantize",
    ...(calibration ? { calibration: summaryOf(calibration) } : {}),
    evaluation: summaryOf({ data: evaluation.evaluation.data, random: evaluation.random }),
    candidates,
    ...(best ? { recommended: best } : {}),
    refused,
    findings,
  };
}
